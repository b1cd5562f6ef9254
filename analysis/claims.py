"""The papers' claims as a ledger: what each is tested by, what the paper shows, what these runs show, and the verdict.

The claims are data: claims.yaml.

python analysis/claims.py multirun --out results
"""

if __name__ == "__main__":  # before the imports that take seconds
    import signals

    signals.install()

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import collection
import commands
import counting
import ledger
import measures
import paper
import style
import windows
from ledger import CONTRADICTED, MIN_EPISODES, MIN_SEEDS, OPEN, SUPPORTED, Check, Claim, Outcome
from runs import Run
from stats import Bootstrap
from tables import NONE, Table, bracketed, write_table

COLUMNS = ("claim", "what it says", "task", "test", "the paper", "these runs", "verdict")


def _early(curve: paper.Curve) -> str | None:
    """The highest point that was read in what counts as early."""
    early = [(value, first, last) for first, last, value in curve.points if last <= measures.EARLY * curve.steps]
    if not early:
        return None
    value, *stretch = max(early)
    return f"{paper.decimal(value)} at {'-'.join(dict.fromkeys(map(style.thousands, stretch)))}"


def _quick(curve: paper.Curve) -> str:
    """The first point that was read at 90 % of the optimum or more."""
    points = [*curve.points, (curve.steps, curve.steps, sum(curve.final) / 2)]
    last = next((last for _, last, value in points if value >= measures.GOOD * curve.optimum), None)
    return f"not at {style.thousands(curve.steps)}" if last is None else f"by {style.thousands(last)}"


def _fall(curve: paper.Curve) -> str | None:
    """The points that were read show the least that a curve falls."""
    fall = measures.deepest(np.array(curve.values))
    return f"falls by at least {paper.decimal(round(fall, 3))}" if fall > 0 else None


PAPER: dict[str, Callable[[paper.Curve], str | None]] = {
    "final return": lambda curve: paper.decimal(sum(curve.final) / 2),
    "quickness": _quick,
    "early return": _early,
    "fall": _fall,
    "steadiness": _fall,
}
"""What the paper's figure 5 shows of a measure."""
UNSEEN = {"success on new tasks": False, "gain on new tasks": False, "gain on the crossover": True}
"""What its figure 6 has of a measure: of tasks that the paper trains other agents on, or not."""


def shown_by_paper(check: Check, task: str) -> str:
    """The paper's numbers behind a test, of each of its methods."""
    if check.measure in UNSEEN:
        return _unseen(check, task)
    if check.measure.startswith("change on"):
        told = paper.content()["retention"]
        return f"{told['says']} {paper.tag(told)}"
    curves = [paper.curve(task, method) for method in check.methods]
    told = [PAPER[check.measure](curve) if curve and check.measure in PAPER else None for curve in curves]
    return f"{'; '.join(text or NONE for text in told)} {paper.tag()}" if any(told) else NONE


def _unseen(check: Check, task: str) -> str:
    """Mean success rates of the tasks that a measure is about."""
    found = paper.unseen(task, check.of)
    rates = [pair for name, pair in found.items() if (name in paper.content()["tasks"]) == UNSEEN[check.measure]]
    if not rates:
        return NONE
    before, after = np.mean(rates, axis=0)
    told = f"{after:.2f}" if check.measure.startswith("success") else f"{after - before:.2f}, from {before:.2f} to {after:.2f}"
    return f"{told} {paper.tag(paper.content()['unseen'])}"


def make(options: argparse.Namespace) -> list[Path]:
    """Write the ledger; returns the paths."""
    return make_of(collection.asked(options), options)


def make_of(runs: Sequence[Run], options: argparse.Namespace) -> list[Path]:
    """The same of runs that were read before."""
    tasks = collection.by_task(runs)
    found = windows.of_tasks(tasks, options.window)
    bootstrap = Bootstrap(options.bootstrap_samples, options.bootstrap_seed)
    rows: list[list[str]] = []
    data: list[dict[str, Any]] = []
    for claim in ledger.load():
        outcomes = [
            (task, check, ledger.judge(check, methods, found[task], bootstrap))
            for task, methods in tasks.items()
            for check in claim.checks
            if check.concerns(task)
        ]
        verdict = ledger.overall([outcome.verdict for _, _, outcome in outcomes])
        named = ", ".join(dict.fromkeys(style.title(task) for task, _, _ in outcomes)) or NONE
        rows.append([claim.claim, f"{claim.says} ({claim.source})", named, "all of the following", "", "", verdict])
        data.append({"claim": claim.claim, "says": claim.says, "task": "all", "verdict": verdict})
        for task, check, outcome in outcomes:
            rows.append(_shown(claim, task, check, outcome))
            data.append(_data(claim, task, check, outcome))
    table = Table("Claims", COLUMNS, rows, _notes(options, found), left=len(COLUMNS))
    return write_table(options.out / "claims", table, pd.DataFrame(data), latex=False)


def _shown(claim: Claim, task: str, check: Check, outcome: Outcome) -> list[str]:
    found, seeds = outcome.estimate, " and ".join(map(str, outcome.seeds))
    ours = NONE
    if found is not None:
        ours = f"{bracketed([float(end) for end in vars(found).values()], 3)}, {seeds} runs"
    verdict = outcome.verdict + (f": {outcome.why}" if outcome.why else "")
    return [claim.claim, check.says, style.title(task), check.told, shown_by_paper(check, task), ours, verdict]


def _data(claim: Claim, task: str, check: Check, outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"claim": claim.claim, "says": check.says, "task": task, "verdict": outcome.verdict, "why": outcome.why}
    row |= {"measure": check.measure, "statistic": check.statistic, "of": check.of, "than": check.than, "above": check.above}
    row |= {"paper": shown_by_paper(check, task), "seeds_of": outcome.seeds[0]}
    row |= {"seeds_than": outcome.seeds[1] if check.than else None}
    ends = {} if outcome.estimate is None else vars(outcome.estimate)
    return row | {name: float(value) for name, value in ends.items()}


def _notes(options: argparse.Namespace, found: Mapping[str, int]) -> list[str]:
    return [
        f"Verdicts: {SUPPORTED} where the 95 % interval lies above the threshold, {CONTRADICTED} where it lies below it, {OPEN} "
        f"otherwise, and wherever a method that learns has fewer than {MIN_SEEDS} seeds or one that does not was evaluated over "
        f"fewer than {MIN_EPISODES} episodes. A claim is {SUPPORTED} where all of its tests are on all tasks that have runs "
        f"and that it is about, "
        f"{CONTRADICTED} where any is.",
        "Intervals: stratified bootstrap over seeds; with 3 seeds they span what was seen, and say nothing of what was not.",
        f"Measures of a run, from its curve smoothed over {windows.told(found)} steps: final return (of what is not trained, "
        "its evaluation); quickness, by the step at which 90 % of the optimum is first reached; early return, the mean over the "
        "first 15 % of the steps; fall, the largest below an earlier value; steadiness, the same, negative.",
        "On tasks that were not trained on, sampled: success, the trained agent's mean success rate; gain, that less the "
        "untrained model's; on new tasks, which the paper trains no agent on, or on the crossover, which it does.",
        "Change on benchmarks: accuracy (acc) after training less before, on the same items, each benchmark counting the same; "
        "the interval is from what the seeds make of the low ends of their 95 % bootstrap intervals over items to what they make "
        "of the high ends.",
        "Statistics: difference of interquartile means; improvement, the share of pairs of runs in which the first is higher "
        "(quicker), ties half; level, an interquartile mean.",
        f"The paper: of each method, {paper.legend()}; "
        f"on tasks that were not trained on, means over tasks, {paper.content()['unseen']['source']}.",
        *counting.notes(options.evaluations),
        *windows.notes(found, options.window),
    ]


def parser() -> commands.Parser:
    """The command's options."""
    made = commands.parser(__doc__)
    commands.add_statistics(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return commands.run(parser(), make, arguments)


if __name__ == "__main__":
    sys.exit(main())
