"""The ledger of claims: what each is tested by, what the paper shows, what these runs show, and the verdict."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twosome.report import commands
from twosome.report.data import repeats
from twosome.report.data.collection import by_task, without_ablations
from twosome.report.data.run import Run
from twosome.report.output import style
from twosome.report.output.tables import NONE, Table, bracketed
from twosome.report.paper import Curve, Paper, decimal
from twosome.report.results import notes
from twosome.report.statistics import ablations, claims, measures, smoothing
from twosome.report.statistics.claims import CONTRADICTED, MIN_EPISODES, MIN_SEEDS, OPEN, SUPPORTED, Check, Claim, Outcome

COLUMNS = ("claim", "what it says", "task", "test", "the paper", "these runs", "verdict")


def _early(curve: Curve) -> str | None:
    """Show the highest point that was read in what counts as early."""
    early = [(value, first, last) for first, last, value in curve.points if last <= measures.EARLY * curve.steps]
    if not early:
        return None
    value, *stretch = max(early)
    return f"{decimal(value)} at {'-'.join(dict.fromkeys(map(style.thousands, stretch)))}"


def _quick(curve: Curve) -> str:
    """Show the first point that was read at 90 % of the optimum or more."""
    points = [*curve.points, (curve.steps, curve.steps, sum(curve.final) / 2)]
    last = next((last for _, last, value in points if value >= measures.GOOD * curve.optimum), None)
    return f"not at {style.thousands(curve.steps)}" if last is None else f"by {style.thousands(last)}"


def _fall(curve: Curve) -> str | None:
    """Show how far a curve falls at least, by the points that were read."""
    fall = measures.deepest(np.array(curve.values))
    return f"falls by at least {decimal(round(fall, 3))}" if fall > 0 else None


SHOWN: dict[str, Callable[[Curve], str | None]] = {
    "final return": lambda curve: decimal(sum(curve.final) / 2),
    "quickness": _quick,
    "early return": _early,
    "fall": _fall,
    "steadiness": _fall,
}
"""What the paper's figure 5 shows of a measure."""
UNSEEN = {"success on new tasks": False, "gain on new tasks": False, "gain on the crossover": True}
"""What its figure 6 has of a measure: of tasks that the paper trains other agents on, or not."""


def shown_by_paper(check: Check, task: str, paper: Paper) -> str:
    """Show the paper's numbers behind a test, of each of its methods."""
    if check.measure in UNSEEN:
        return _unseen(check, task, paper)
    if check.measure == "final success":
        read = [paper.trained_success(task, method) for method in check.methods]
        shown_success = [NONE if value is None else decimal(value) for value in read]
        return f"{'; '.join(shown_success)} {paper.tag('glam')}" if any(read) else NONE
    if check.measure.startswith("change on"):
        return f"{paper.retention['says']} {paper.tag('retention')}"
    curves = [paper.curve(task, method) for method in check.methods]
    shown = [SHOWN[check.measure](curve) if curve and check.measure in SHOWN else None for curve in curves]
    return f"{'; '.join(text or NONE for text in shown)} {paper.tag()}" if any(shown) else NONE


def _unseen(check: Check, task: str, paper: Paper) -> str:
    """Show mean success rates of the tasks that a measure is about."""
    found = paper.unseen(task, check.of)
    rates = [pair for name, pair in found.items() if (name in paper.tasks) == UNSEEN[check.measure]]
    if not rates:
        return NONE
    before, after = np.mean(rates, axis=0)
    shown = f"{after:.2f}" if check.measure.startswith("success") else f"{after - before:.2f}, from {before:.2f} to {after:.2f}"
    return f"{shown} {paper.tag('unseen')}"


def table(found: Sequence[Claim], runs: Sequence[Run], paper: Paper, options: argparse.Namespace) -> Table:
    """Judge claims by runs; claims about ablations by those that may be of one."""
    bootstrap = commands.bootstrap(options)
    tasks, apart = by_task(without_ablations(runs)), ablations.by_varied_task(runs)
    windows, own_windows = (smoothing.of_tasks(each, options.window) for each in (tasks, apart))
    shown: list[list[str]] = []
    data: list[dict[str, Any]] = []
    by_name = measures.by_name(paper)
    for claim in found:
        outcomes = [
            (task, check, claims.judge(check, methods, of[task], bootstrap, by_name))
            for here, of, ablation in ((tasks, windows, False), (apart, own_windows, True))
            for task, methods in here.items()
            for check in claim.checks
            if check.of_ablation == ablation and check.concerns(task)
        ]
        verdict = claims.overall([outcome.verdict for _, _, outcome in outcomes])
        named = ", ".join(dict.fromkeys(style.title(task) for task, _, _ in outcomes)) or NONE
        shown.append([claim.claim, f"{claim.says} ({claim.source})", named, "all of the following", "", "", verdict])
        data.append({"claim": claim.claim, "says": claim.says, "task": "all", "verdict": verdict})
        for task, check, outcome in outcomes:
            papers = shown_by_paper(check, task, paper)
            shown.append(_shown(claim, task, check, outcome, papers))
            data.append(_data(claim, task, check, outcome, papers))
    remarks = [*_notes(options, windows, paper), *notes.counted(tasks)]
    return Table("Claims", COLUMNS, shown, remarks, len(COLUMNS), pd.DataFrame(data))


def _shown(claim: Claim, task: str, check: Check, outcome: Outcome, papers: str) -> list[str]:
    found, seeds = outcome.estimate, " and ".join(map(str, outcome.seeds))
    ours = NONE
    if found is not None:
        ours = f"{bracketed([float(end) for end in vars(found).values()], 3)}, {seeds} runs"
    verdict = outcome.verdict + (f": {outcome.why}" if outcome.why else "")
    return [claim.claim, check.says, style.title(task), check.described, papers, ours, verdict]


def _data(claim: Claim, task: str, check: Check, outcome: Outcome, papers: str) -> dict[str, Any]:
    row: dict[str, Any] = {"claim": claim.claim, "says": check.says, "task": task, "verdict": outcome.verdict, "why": outcome.why}
    row |= {"measure": check.measure, "statistic": check.statistic, "of": check.of, "than": check.than, "above": check.above}
    row |= {"paper": papers, "seeds_of": outcome.seeds[0]}
    row |= {"seeds_than": outcome.seeds[1] if check.than else None}
    ends = {} if outcome.estimate is None else vars(outcome.estimate)
    return row | {name: float(value) for name, value in ends.items()}


def _notes(options: argparse.Namespace, windows: Mapping[str, int], paper: Paper) -> list[str]:
    return [
        f"Verdicts: {SUPPORTED} where the 95 % interval lies above the threshold, {CONTRADICTED} where it lies below it, {OPEN} "
        f"otherwise, and wherever a method that learns has fewer than {MIN_SEEDS} seeds or one that does not was evaluated over "
        f"fewer than {MIN_EPISODES} episodes. A claim is {SUPPORTED} where all of its tests are on all tasks that have runs "
        f"and that it is about, {CONTRADICTED} where any is, {claims.UNMEASURED} where none of its tasks has runs.",
        "Intervals: stratified bootstrap over seeds; with 3 seeds they span what was seen, and say nothing of what was not.",
        f"Measures of a run, from its curve smoothed over {smoothing.described(windows)} steps: final return (of what is not "
        "trained, and of clones, the evaluation); quickness, by the environment step at which 90 % of the optimum is first "
        "reached (the summary says after how many optimiser steps and how long that was); early return, the mean over the first "
        "15 % of the steps, or over the first window where that is longer; fall, the largest below an earlier value; steadiness, "
        "the same, negative. "
        "Episodes count where they began.",
        "On tasks that were not trained on, sampled: success, the trained agent's mean success rate; gain, that less the "
        "untrained model's; on new tasks, which the paper trains no agent on, or on the crossover, which it does.",
        "Change on benchmarks: accuracy (acc) after training less before, on the same items, each benchmark counting the same; "
        "the interval is from what the seeds make of the low ends of their 95 % bootstrap intervals over items to what they make "
        "of the high ends.",
        "Final success: the last value of the curve of success. Area, area of success: the mean of the smoothed curve of returns "
        "or of success, which is GLAM's sample efficiency.",
        "Evaluated success: sampled, of the run's own evaluation after training. Kept with a test of generalisation: "
        "the trained agent's success in it less that in its own setting; lost: the opposite.",
        "Statistics: difference of interquartile means; improvement, the share of pairs of runs in which the first is higher "
        "(quicker), ties half; level, an interquartile mean.",
        f"The paper: of each method, {paper.legend()}; "
        f"on tasks that were not trained on, means over tasks, {paper.content['unseen']['source']}.",
        *repeats.notes(options.evaluations),
        *smoothing.notes(windows, options.window),
    ]
