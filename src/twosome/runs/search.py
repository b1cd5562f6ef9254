"""A search for the options of the best score: its trials, recorded in the sweep's folder, and Optuna's choice of the next one.

A trial's values depend on the search's seed, the trial's number and the scores that were known, and on nothing else. A search
that was stopped at any moment therefore goes on as if it had not been.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from twosome import seeding
from twosome.errors import RunError, UserError, check_seed, unknown_choice
from twosome.files import write_atomic

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Value = str | int | float
DIRECTIONS = ("maximize", "minimize")
FILE = "search.json"
EXAMPLE = "as in 'algorithm.learning_rate=tag(log,interval(1e-4,3e-3))' or norm=word,token"


@dataclass
class SearchConfig:
    """The options of conf/hydra/sweeper/optuna.yaml."""

    n_trials: int
    n_jobs: int
    seeds: list[int]
    direction: str
    seed: int
    n_startup_trials: int

    def __post_init__(self) -> None:
        for name in ("n_trials", "n_jobs", "n_startup_trials"):
            if getattr(self, name) < 1:
                raise UserError(f"hydra.sweeper.{name}={getattr(self, name)}: expected an integer above 0")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"hydra.sweeper.seeds={self.seeds}: expected one seed or more, each once, as in [0,1,2]")
        for seed in self.seeds:
            check_seed("hydra.sweeper.seeds", seed)
        if self.direction not in DIRECTIONS:
            raise unknown_choice("hydra.sweeper.direction", self.direction, DIRECTIONS)
        check_seed("hydra.sweeper.seed", self.seed)


@dataclass
class Trial:
    """Values that are tried. scores: of its runs, by seed; empty before they ended. score: their mean; None if one has none."""

    number: int
    values: dict[str, Value]
    scores: list[float | None]

    @property
    def score(self) -> float | None:
        """The mean of the runs' scores."""
        known = [score for score in self.scores if score is not None]
        return sum(known) / len(known) if known and len(known) == len(self.scores) else None

    @property
    def label(self) -> str:
        """Return the name of the trial's runs in tables, of at most 60 characters."""
        values = (f"{name.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{name.rpartition('.')[2]}={value}"
                  for name, value in self.values.items())  # fmt: skip
        return f"{self.number}: {', '.join(values)}"[:60]


def space_of(overrides: Sequence[Override]) -> "dict[str, BaseDistribution]":
    """Return the distributions of the options that have several values. Raises UserError if there is none, and for bad ranges."""
    searched = {override.get_key_element(): override for override in overrides if override.is_sweep_override()}
    if not searched:
        raise UserError(f"hydra/sweeper=optuna: expected an option to search, {EXAMPLE}; without one leave the word out")
    try:
        return {name: _distribution(override) for name, override in searched.items()}
    except ImportError:
        raise UserError("hydra/sweeper=optuna: expected the package optuna; install it: pip install optuna") from None


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value, word = override.value(), override.input_line
    try:
        if isinstance(value, IntervalSweep):
            log, low, high = "log" in value.tags, value.start, value.end
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=log)
            assert low is not None  # the grammar demands both ends
            assert high is not None
            return FloatDistribution(low, high, log=log)
        if isinstance(value, RangeSweep):
            values: list[Any] = list(override.sweep_iterator())
            if all(isinstance(each, int) for each in values):
                return IntDistribution(
                    min(values), max(values), step=max(1, abs(values[-1] - values[0]) // max(1, len(values) - 1))
                )
            return CategoricalDistribution(values)
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    except (ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{word}: expected a range to search, {EXAMPLE}; {reason}") from None


class Search:
    """The trials of a search, as recorded in its folder."""

    def __init__(self, folder: Path, config: SearchConfig, space: "Mapping[str, BaseDistribution]", fixed: Sequence[str]) -> None:
        """Read the trials of an earlier call. space: what is searched. fixed: the other words of the command line.

        Raises UserError if the folder has another search, or a file that cannot be read.
        """
        self.path, self.config, self.space = folder / FILE, config, space
        settings = {name: value for name, value in asdict(config).items() if name not in ("n_trials", "n_jobs")}
        self.settings = {"space": {name: str(each) for name, each in space.items()}, "fixed": sorted(fixed), **settings}
        self.trials: list[Trial] = []
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        try:
            found = json.loads(self.path.read_text())
            self.trials = [Trial(**{name: each[name] for name in ("number", "values", "scores")}) for each in found["trials"]]
            before = {name: found[name] for name in self.settings}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path}: expected the trials of a search ({error!r}); remove it, or name another folder"
            ) from None
        for name, value in self.settings.items():
            if before[name] != value:
                raise UserError(f"{self.path.parent}: has a search with {name} {before[name]}, expected {value}; name another "
                                "folder by hydra.sweep.dir=, or repeat its options")  # fmt: skip

    def next_trials(self) -> list[Trial]:
        """Return the trials to be run now, at most n_jobs: those that were interrupted, or new ones; none if all are done."""
        waiting = [trial for trial in self.trials if not trial.scores][: self.config.n_jobs]
        while not waiting or len(waiting) < self.config.n_jobs:
            if len(self.trials) >= self.config.n_trials:
                break
            waiting.append(self._asked())
        self.write()
        return waiting

    def _asked(self) -> Trial:
        """Add a trial with the values that Optuna chooses."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        number = len(self.trials)
        seed = seeding.number(self.config.seed, f"trial {number}") % 2**32
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.config.n_startup_trials)
        direction = optuna.study.StudyDirection[self.config.direction.upper()]
        study = optuna.create_study(sampler=sampler, direction=direction)
        study.add_trials([self._frozen(trial) for trial in self.trials])
        self.trials.append(Trial(number, study.ask(dict(self.space)).params, []))
        return self.trials[-1]

    def _frozen(self, trial: Trial) -> "FrozenTrial":
        """Convert a trial for Optuna."""
        from optuna.trial import TrialState, create_trial

        states = TrialState.RUNNING, TrialState.FAIL, TrialState.COMPLETE
        state = states[0] if not trial.scores else states[1] if trial.score is None else states[2]
        return create_trial(params=trial.values, distributions=dict(self.space), value=trial.score, state=state)

    def record(self, trial: Trial, scores: Sequence[Any]) -> None:
        """Record the scores of a trial's runs, and write the file. A score that is not a finite number counts as failed."""
        trial.scores = [float(score) if isinstance(score, int | float) and math.isfinite(score) else None for score in scores]
        self.write()

    def write(self) -> None:
        """Write the file."""
        trials = [{**asdict(trial), "score": trial.score} for trial in self.trials]
        best = self.best()
        content = {**self.settings, "trials": trials, "best": None if best is None else best.number}
        write_atomic(self.path, json.dumps(content, indent=2) + "\n")

    def best(self) -> Trial | None:
        """Return the trial with the best score, the first of equal ones; None if none has a score."""
        scored = [trial for trial in self.trials if trial.score is not None]
        sign = 1 if self.config.direction == "maximize" else -1
        return max(scored, key=lambda trial: sign * (trial.score or 0.0), default=None)

    def words(self, trial: Trial) -> list[str]:
        """Return the words that set a trial's values."""
        return [f"{name}={value!r}" if isinstance(value, float) else f"{name}={value}" for name, value in trial.values.items()]

    def report(self) -> str:
        """Return the trials as lines, and the best one. Raises RunError if no trial has a score."""
        best = self.best()
        if best is None:
            raise RunError(f"{self.path}: none of {len(self.trials)} trials has a score")
        lines = [f"{trial.label}: {'failed' if trial.score is None else f'{trial.score:.4f}'}" for trial in self.trials]
        return "\n".join([*lines, f"best of {len(lines)} trials, {best.score:.4f}: {' '.join(self.words(best))}"])
