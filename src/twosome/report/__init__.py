"""Figures and tables of runs: what the commands in analysis/ share. Imports no torch and no other layer of twosome but
its base modules (plain, signals, errors, former, identity).

From the bottom to the top; a module imports only from its own folder and from those above it in this list:

messages.py           warnings
paper.py              the papers' numbers, read from a YAML file
output/               how results look and are written
  style.py              colours, names, panels and axes of figures
  tables.py             one table as Markdown, LaTeX and HTML
  files.py              writing text, CSV and figures atomically
  folder.py             writing figures and tables into a folder, and what was written
statistics/estimates.py   interquartile means, bootstrap and Wilson intervals: of numbers, not of runs
data/                 what runs left behind
  run.py                one run: its options, learning curve and evaluations
  episodes.py           bins a run's training episodes by where they began
  run_folder.py         reads a run from its folder
  published.py          writes runs as a few tables and reads them back
  collection.py         finds the runs below folders and checks that they can be compared
  repeats.py            selects the record that counts where a run was evaluated more than once
  retention.py          the tables of what the language model still knows
  reading.py            reads YAML, JSON and CSV files, and reports what cannot be read
  validation.py         checks types and ranges of what files hold
statistics/           numbers computed from runs
  smoothing.py          smoothed learning curves, and the window that a task's runs share
  axes.py               what curves are drawn against: environment steps, optimiser steps, seconds
  measures.py           the measures of one run by name: final return, quickness, ...
  transfer.py           success on tasks that were not trained on, pooled over seeds
  retention.py          change of accuracy on benchmarks, pooled over seeds
  ablations.py          the ablations of a YAML file: which runs have which value, and what differs
  claims.py             the claims of a YAML file, and the verdict of runs on each
commands.py           options, exit codes and error lines that the commands share
drawing.py            from the runs that a command line names to the paths of what was drawn
results/              one module per figure or table: its rows, its table, its picture
  notes.py              what is said of runs whose episodes count otherwise, and of those that are left out
  learning_curves.py, summary_table.py, generalization_tables.py, generalization_figures.py, retention_tables.py,
  retention_figures.py, ablation_tables.py, ablation_figures.py, claims_table.py
  page.py               the HTML page with all of them
"""
