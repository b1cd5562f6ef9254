"""One run: its options, learning curve and evaluations, the same from a run's folder and from published tables.

Training episodes are binned by environment steps as soon as they are read, and floats keep six significant digits, so that
what is drawn from published tables equals what is drawn from the folders.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from twosome.identity import AGENT, actor, identity
from twosome.report.data import repeats
from twosome.report.data.repeats import COUNTED, EVALUATED
from twosome.report.data.retention import Retained

BIN = 256
"""Environment steps in a bin; a bin's step is its end, so that bin 256 holds the episodes whose first decision is in steps 1 to
256; or, of runs that were published in format 1, those whose last decision is."""
ABLATION = "ablation/"
"""What the labels of an ablation's runs begin with; its name and the varied value follow."""
BEGAN, ENDED = "began", "ended"
"""Values of Run.binned: where in a run an episode counts."""

SETTING = (
    *("env", "norm", "baseline", "tuning", "value_head", "policy_head", "model", "algorithm"),
    "total_steps",
)
"""Entries of the configuration that say what is computed, besides the seed."""
INCIDENTAL = (
    "model.seed",
    "model.device",
    "model.attn_implementation",
    "model.packed_weights",
    "model.engine",
    "model.batch_tokens",
    "model.cache_mb",
)
"""Options that say how something is computed, not what."""

PROGRESS = ("optimizer_steps", "seconds")
"""Columns of BINS that say what a run had spent by a bin's end. They may lack a number."""
BINS = {"step": int, "episodes": int, "return_sum": float, "successes": int, **dict.fromkeys(PROGRESS, float)}
KEY = ("when", "env", "task", "prompt", "options", "mode")
"""Columns that say what was evaluated, and how."""
EVALUATIONS = {
    **dict.fromkeys(KEY, str),
    **dict.fromkeys(("seed", "episodes"), int),
    **dict.fromkeys(("success_rate", "return_mean", "return_std", "decisions_mean", "primitive_steps_mean", "optimum"), float),
    EVALUATED: str,
}
MISSING = ("optimum",)
"""Columns of EVALUATIONS that may lack a number."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    source: the run's folder, or the folder of published tables. config, choices, provenance: the folder's files.
    finished: whether it was. steps: environment steps that it trained for, 0 for a policy that is only evaluated.
    optimizer_steps: of the policy, in these; nan where the run is of a version that did not count them. seconds: time that these
    took. binned: BEGAN or ENDED. covered: environment steps up to which every episode that began has ended, or steps where
    episodes are binned by their end. bins: columns BINS; where episodes are binned by their beginning, a row for each whole bin
    up to covered, else a row for each bin in which an episode ended. evaluations: columns EVALUATIONS, options as JSON. retained:
    what the language model still knows. which: of several evaluations counts (repeats.COUNTED). apart: whether the run was read
    for ablations only (--ablations).
    """

    source: Path
    config: dict[str, Any]
    choices: dict[str, Any]
    provenance: dict[str, Any]
    finished: bool
    steps: int
    optimizer_steps: float
    seconds: float
    covered: int
    binned: str
    bins: pd.DataFrame
    evaluations: pd.DataFrame
    retained: Retained = field(default_factory=Retained)
    which: str = COUNTED[0]
    apart: bool = False

    @property
    def end(self) -> int:
        """Where the learning curve ends: the last whole bin up to covered, or the bin that holds the last step if ENDED.

        0 where it has none.
        """
        if not self.acted:
            return 0
        return (self.covered if self.binned == BEGAN else self.covered + BIN - 1) // BIN * BIN

    @property
    def seed(self) -> int:
        """Of everything random in the run."""
        return int(self.config["seed"])

    @cached_property
    def _identity(self) -> dict[str, str]:
        """The run's own, or, where it is of a version that recorded none, what it would have been."""
        recorded = {name: str(self.provenance[name]) for name in ("task", "method", "label") if name in self.provenance}
        return identity(self.config, self.choices, bool(self.model)) | recorded

    @property
    def task(self) -> str:
        """What was to be done, worded otherwise than by default where that is so; one panel or block of rows each."""
        return self._identity["task"]

    @property
    def model(self) -> str:
        """The language model's name; empty where none was used."""
        return str(self.provenance.get("model") or "")

    @property
    def method(self) -> str:
        """The run's label, which is its method's name unless it was given another; one line or row each."""
        return self._identity["label"]

    @property
    def ablated(self) -> bool:
        """Whether the run is one of an ablation, which only the figures of ablations show."""
        return self.apart or self.method.startswith(ABLATION)

    @property
    def name(self) -> str:
        """Names the run among those of one figure."""
        return f"{self.task}/{self.method}/{self.seed}".replace(" ", "_")

    @cached_property
    def acted(self) -> bool:
        """Whether it learned from episodes of its own: these are its learning curve. Other runs have their evaluations only."""
        return bool(self.steps) and actor(self.provenance, self.choices) == AGENT

    @cached_property
    def setting(self) -> dict[str, Any]:
        """The options that runs of one method must share, by dotted name; without what the method does not use."""
        unused = [*([] if self.model else ["norm", "model"]), *([] if self.steps else ["algorithm", "total_steps"])]
        own = {group: self.config.get(group) for group in SETTING if group not in unused}
        return {name: value for name, value in leaves(own) if not name.startswith(INCIDENTAL)}

    @cached_property
    def counted_evaluations(self) -> pd.DataFrame:
        """Of evaluations, those that count: one for each player, setting and mode."""
        return repeats.counted(self.evaluations, KEY, "episodes", self.which)

    @cached_property
    def counted_retained(self) -> Retained:
        """Of retained, what counts: one row for each benchmark and metric, and one drift."""
        return self.retained.counted(self.which)

    def evaluation(self, when: str, mode: str) -> dict[str, Any] | None:
        """The record that counts of the run's own task, prompt and options; None where there is none.

        when: "before" or "after" training. mode: "sampled" or "greedy".
        """
        return self._own_records.get((when, mode))

    @cached_property
    def _own_records(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The records of `evaluation`, by when and mode."""
        env, table = self.config["env"], self.counted_evaluations
        own = (table.env == env["id"]) & (table.task == (env.get("task") or "")) & (table.options == "{}")
        own &= table.prompt == (env.get("prompt") or "")
        return {(record["when"], record["mode"]): record for record in table[own].to_dict("records")}

    @cached_property
    def optimum(self) -> float:
        """The best discounted return of the run's task; nan where no evaluation states it."""
        records = [self.evaluation(when, mode) for when in ("after", "before") for mode in ("sampled", "greedy")]
        return next((record["optimum"] for record in records if record), math.nan)


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dictionaries, named by dotted paths."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
