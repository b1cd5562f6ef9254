"""Record episodes with what the agent makes of every decision, before and after training, and write them as one page of HTML.

stages.py     the agent before and after training, and what it makes of decisions
recorder.py   plays episodes and collects what the page shows
album.py      the episodes' pictures, each once
page.py       writes page.html, the template, with the recorded data in it
"""
