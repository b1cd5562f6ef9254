"""Figures and tables of runs: what the commands in analysis/ share. Imports no torch.

A module imports only from those above it in this list:

output.py          tables as Markdown, LaTeX and CSV, and the folder into which they and figures are written
paper.py           the papers' numbers, read from a YAML file
records.py         tables of one run, read from its folder
runs.py            runs, from folders or published tables
style.py           look of the figures
statistics.py      interquartile means, bootstrap and Wilson intervals; smoothed curves and their x-axes
measures.py        measures of one run by name: final return, quickness, ...
commands.py        options, exit codes and error lines that the commands share
curves.py, summary.py, generalization.py, retention.py, ablations.py, claims.py     the rows and tables of each command
notes.yaml         the notes below the tables
"""
