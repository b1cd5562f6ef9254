"""The papers' claims, read from a YAML file (analysis/claims.yaml), and the verdict of runs on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twosome.plain import parse_yaml
from twosome.report.data.run import ABLATION, Run
from twosome.report.output import style
from twosome.report.statistics.estimates import Bootstrap, Estimate, Statistic, difference, improvement, pooled_iqm
from twosome.report.statistics.measures import Measure, evaluated

SUPPORTED, CONTRADICTED, OPEN = "supported", "contradicted", "not enough data"
UNMEASURED = "not measured"
MIN_SEEDS = 3
"""Seeds that each method that learns needs for a verdict."""
MIN_EPISODES = 100
"""Episodes that the evaluation of a policy that does not learn needs; one run of it is enough."""
STATISTICS: dict[str, Statistic] = {"difference": difference, "improvement": improvement, "level": pooled_iqm}


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
    def of_ablation(self) -> bool:
        """Whether runs of an ablation are tested."""
        return any(method.startswith(ABLATION) for method in self.methods)

    def concerns(self, task: str) -> bool:
        """Return whether the test is made on a task."""
        return self.tasks is None or task in self.tasks

    @property
    def methods(self) -> list[str]:
        """The methods that it is about."""
        return [self.of, *([self.than] if self.than else [])]

    @property
    def described(self) -> str:
        """The test in words."""
        names = " against ".join(map(style.label, self.methods))
        return f"{self.measure}, {self.statistic} > {self.above:g}: {names}"


@dataclass(frozen=True)
class Claim:
    """A claim and its tests."""

    claim: str
    says: str
    source: str
    checks: list[Check]


@dataclass(frozen=True)
class Outcome:
    """A test on a task. estimate: of the statistic, None where there are no runs. seeds: of each method. why: what is missing."""

    verdict: str
    estimate: Estimate | None
    seeds: list[int]
    why: str = ""


def read(file: Path) -> list[Claim]:
    """Read the claims of a YAML file."""
    entries = parse_yaml(file.read_text(encoding="utf-8"))
    return [Claim(str(e["claim"]), e["says"], e["source"], [Check(**check) for check in e["tests"]]) for e in entries]


def judge(
    check: Check, methods: Mapping[str, Sequence[Run]], window: int, bootstrap: Bootstrap, measures: Mapping[str, Measure]
) -> Outcome:
    """Test one task's runs, by method."""
    runs = [methods.get(method, []) for method in check.methods]
    seeds = [len(each) for each in runs]
    for method, each in zip(check.methods, runs, strict=True):
        if not each:
            return Outcome(OPEN, None, seeds, f"no run of {style.label(method)}")
    strata = [np.array([measures[check.measure](run, window) for run in each]) for each in runs]
    if any(np.isnan(values).any() for values in strata):
        return Outcome(OPEN, None, seeds, f"no {check.measure} of some run")
    if strata[-1].ndim == 2 and check.than:  # with intervals of their own: a difference is least at the other's high end
        strata[-1] = strata[-1][:, [0, 2, 1]]
    estimate = _outermost(bootstrap.estimate(STATISTICS[check.statistic], strata))
    if lack := next(filter(None, map(_lack, runs)), None):
        return Outcome(OPEN, estimate, seeds, lack)
    if estimate.low > check.above:
        return Outcome(SUPPORTED, estimate, seeds)
    if estimate.high < check.above:
        return Outcome(CONTRADICTED, estimate, seeds)
    return Outcome(OPEN, estimate, seeds, "the interval holds the threshold")


def _outermost(estimate: Estimate) -> Estimate:
    """Return the interval of a statistic, from its lower end on the runs' low ends to its upper end on their high ends.

    estimate: of (number, low end, high end), where each run's number has an interval of its own; any other is returned as it is.
    """
    if not np.ndim(estimate.center):
        return estimate
    return Estimate(estimate.center[0], estimate.low[1], estimate.high[2])


def _lack(runs: Sequence[Run]) -> str | None:
    """Say what a method's runs lack for a verdict; None where they lack nothing."""
    name = style.label(runs[0].method)
    if any(run.steps for run in runs):
        return None if len(runs) >= MIN_SEEDS else f"{name} has {len(runs)} of at least {MIN_SEEDS} seeds"
    episodes = min(evaluated(run, "episodes", "sampled") for run in runs)
    return None if episodes >= MIN_EPISODES else f"{name} has {episodes:.0f} of at least {MIN_EPISODES} episodes"


def overall(verdicts: Sequence[str]) -> str:
    """Return a claim's verdict: contradicted where any of its tests is, supported where all are, not measured without any."""
    if not verdicts:
        return UNMEASURED
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if set(verdicts) == {SUPPORTED} else OPEN
