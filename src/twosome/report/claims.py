"""The papers' claims, read from a YAML file (analysis/claims.yaml), the verdict of runs on each, and the ledger of both."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from twosome.report import ablations, style
from twosome.report.measures import EARLY, GOOD, Measure, by_name, deepest, evaluated
from twosome.report.output import NONE, Table, bracketed, latest, notes
from twosome.report.paper import Paper, decimal
from twosome.report.runs import ABLATION, Methods, Run, by_task
from twosome.report.statistics import Estimate, Estimator, Statistic, difference, improvement, pooled_iqm, windows

SUPPORTED, CONTRADICTED, OPEN, UNMEASURED = "supported", "contradicted", "not enough data", "not measured"
MIN_SEEDS = 3  # seeds that each method that learns needs for a verdict
MIN_EPISODES = 100  # episodes that the evaluation of a policy that does not learn needs; one run of it is enough
STATISTICS: dict[str, Statistic] = {"difference": difference, "improvement": improvement, "level": pooled_iqm}
COLUMNS = ("claim", "what it says", "task", "test", "the paper", "these runs", "verdict")
UNSEEN = {"success on new tasks": False, "gain on new tasks": False, "gain on the crossover": True}
"""Measures of the paper's figure 6: of tasks that the paper trains other agents on, or not."""


@dataclass(frozen=True)
class Check:
    """One test of a claim; the fields are explained in claims.yaml."""

    says: str
    measure: str
    statistic: str
    of: str
    above: float
    than: str | None = None
    tasks: list[str] | None = None

    @property
    def methods(self) -> list[str]:
        """The methods that it is about."""
        return [self.of, *([self.than] if self.than else [])]

    @property
    def of_ablation(self) -> bool:
        """Whether runs of an ablation are tested."""
        return any(method.startswith(ABLATION) for method in self.methods)


class Claim(NamedTuple):
    """A claim and its tests."""

    claim: str
    says: str
    source: str
    checks: list[Check]


class Outcome(NamedTuple):
    """A test on a task. estimate: of the statistic, None where there are no runs. seeds: of each method. why: what is missing."""

    verdict: str
    estimate: Estimate | None
    seeds: list[int]
    why: str = ""


def read(file: Path) -> list[Claim]:
    """Read the claims of a YAML file."""
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [Claim(str(e["claim"]), e["says"], e["source"], [Check(**check) for check in e["tests"]]) for e in entries]


def judge(check: Check, methods: Methods, window: int, estimator: Estimator, measures: Mapping[str, Measure]) -> Outcome:
    """Test one task's runs, by method."""
    runs = [methods.get(method, []) for method in check.methods]
    seeds = [len(each) for each in runs]
    if not all(runs):
        return Outcome(OPEN, None, seeds, f"no run of {style.label(check.methods[runs.index([])])}")
    strata = [np.array([measures[check.measure](run, window) for run in each]) for each in runs]
    if any(np.isnan(values).any() for values in strata):
        return Outcome(OPEN, None, seeds, f"no {check.measure} of some run")
    own_intervals = strata[0].ndim == 2  # (runs, 3): from the statistic's lower end on low ends to its upper end on high ends
    if own_intervals and check.than:  # a difference is least at the other's high end
        strata[-1] = strata[-1][:, [0, 2, 1]]
    found = estimator.bootstrap(STATISTICS[check.statistic], strata)
    estimate = Estimate(found.center[0], found.low[1], found.high[2]) if own_intervals else found
    if lack := next(filter(None, map(_lack, runs)), None):
        return Outcome(OPEN, estimate, seeds, lack)
    if estimate.low > check.above:
        return Outcome(SUPPORTED, estimate, seeds)
    if estimate.high < check.above:
        return Outcome(CONTRADICTED, estimate, seeds)
    return Outcome(OPEN, estimate, seeds, "the interval holds the threshold")


def _lack(runs: Sequence[Run]) -> str | None:
    """Say what a method's runs lack for a verdict; None where they lack nothing."""
    name, episodes = style.label(runs[0].method), min(evaluated(run, "episodes") for run in runs)
    if any(run.steps for run in runs):
        return None if len(runs) >= MIN_SEEDS else f"{name} has {len(runs)} of at least {MIN_SEEDS} seeds"
    return None if episodes >= MIN_EPISODES else f"{name} has {episodes:.0f} of at least {MIN_EPISODES} episodes"


def overall(verdicts: Sequence[str]) -> str:
    """Return a claim's verdict: contradicted where any of its tests is, supported where all are, not measured without any."""
    if not verdicts:
        return UNMEASURED
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if set(verdicts) == {SUPPORTED} else OPEN


def shown_by_paper(check: Check, task: str, paper: Paper) -> str:
    """Show the paper's numbers behind a test, of each of its methods."""
    part, numbers = None, [_shown_by_curve(check.measure, paper.curve(task, method)) for method in check.methods]
    if check.measure.startswith("change on"):
        part, numbers = "retention", [paper.content["retention"]["says"]]
    elif check.measure == "final success":
        read = [paper.trained_success(task, method) for method in check.methods]
        part, numbers = "glam", [None if value is None else decimal(value) for value in read]
    elif check.measure in UNSEEN:
        rates = [both for name, both in paper.unseen(task, check.of).items() if (name in paper.tasks) == UNSEEN[check.measure]]
        if rates:
            before, after = np.mean(rates, axis=0)
            gain = f"{after - before:.2f}, from {before:.2f} to {after:.2f}"
            part, numbers = "unseen", [f"{after:.2f}" if check.measure.startswith("success") else gain]
    return f"{'; '.join(number or NONE for number in numbers)} {paper.tag(part)}" if any(numbers) else NONE


def _shown_by_curve(measure: str, curve: Mapping[str, Any]) -> str | None:
    """Show what a curve of the paper says of a measure; None where it says nothing."""
    if not curve:
        return None
    if measure == "final return":
        return decimal(curve["end"])
    if measure == "quickness":  # the first point that was read at 90 % of the optimum or more
        points = [*curve["points"], (curve["steps"], curve["steps"], curve["end"])]
        last = next((last for _, last, value in points if value >= GOOD * curve["optimum"]), None)
        return f"not at {style.thousands(curve['steps'])}" if last is None else f"by {style.thousands(last)}"
    if measure == "early return":  # the highest point that was read in what counts as early
        early = [(value, first, last) for first, last, value in curve["points"] if last <= EARLY * curve["steps"]]
        if early:
            value, *stretch = max(early)
            return f"{decimal(value)} at {'-'.join(dict.fromkeys(map(style.thousands, stretch)))}"
    if measure in ("fall", "steadiness"):
        values = [*([curve["peak"]] if "peak" in curve else []), *(value for *_, value in curve["points"]), curve["end"]]
        fall = deepest(np.array(values))
        return f"falls by at least {decimal(round(fall, 3))}" if fall > 0 else None
    return None


def table(found: Sequence[Claim], runs: Sequence[Run], paper: Paper, options: Namespace) -> Table:
    """Judge claims by runs; claims about ablations by those that may be of one."""
    estimator, measures = Estimator.of(options), by_name(paper)
    usual, apart = by_task([run for run in runs if not run.ablated]), ablations.by_varied_task(runs)
    shown: list[list[str]] = []
    data: list[dict[str, Any]] = []
    for claim in found:
        outcomes = [
            (task, check, judge(check, methods, windows({task: methods}, options.window)[task], estimator, measures))
            for tasks, of_ablation in ((usual, False), (apart, True))
            for task, methods in tasks.items()
            for check in claim.checks
            if check.of_ablation == of_ablation and (check.tasks is None or task in check.tasks)
        ]
        verdict = overall([outcome.verdict for _, _, outcome in outcomes])
        named = ", ".join(dict.fromkeys(style.title(task) for task, _, _ in outcomes)) or NONE
        shown.append([claim.claim, f"{claim.says} ({claim.source})", named, "all of the following", "", "", verdict])
        data.append({"claim": claim.claim, "says": claim.says, "task": "all", "verdict": verdict})
        for task, check, outcome in outcomes:
            ends = {} if outcome.estimate is None else {name: float(end) for name, end in vars(outcome.estimate).items()}
            ours = f"{bracketed(list(ends.values()), 3)}, {' and '.join(map(str, outcome.seeds))} runs" if ends else NONE
            verdict = outcome.verdict + (f": {outcome.why}" if outcome.why else "")
            test = f"{check.measure}, {check.statistic} > {check.above:g}: {' against '.join(map(style.label, check.methods))}"
            papers = shown_by_paper(check, task, paper)
            shown.append([claim.claim, check.says, style.title(task), test, papers, ours, verdict])
            data.append({
                **{"claim": claim.claim, "says": check.says, "task": task, "verdict": outcome.verdict, "why": outcome.why},
                **{"measure": check.measure, "statistic": check.statistic, "of": check.of, "than": check.than},
                **{"above": check.above, "paper": papers},
                **{"seeds_of": outcome.seeds[0], "seeds_than": outcome.seeds[1] if check.than else None, **ends},
            })  # fmt: skip
    verdicts = {"supported": SUPPORTED, "contradicted": CONTRADICTED, "open": OPEN, "unmeasured": UNMEASURED}
    words = {"seeds": MIN_SEEDS, "episodes": MIN_EPISODES, "legend": paper.legend(), "unseen": paper.content["unseen"]["source"]}
    lengths = windows(usual, options.window)
    remarks = notes("claims", **verdicts, **words, window=style.described(lengths))
    remarks += [*latest(options.evaluations), *style.window_notes(lengths, options.window)]
    return Table("Claims", COLUMNS, shown, remarks, len(COLUMNS), pd.DataFrame(data))
