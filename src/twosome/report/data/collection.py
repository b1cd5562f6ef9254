"""Find the runs below folders, check that they can be compared, and sort them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from twosome.errors import UserError, shown
from twosome.report.data import published, repeats
from twosome.report.data.repeats import COUNTED
from twosome.report.data.run import ABLATION, BEGAN, Run
from twosome.report.data.run_folder import has_results, read_folder
from twosome.report.messages import warn

ADDED = ("accuracies", "drift")
"""Tables of Run.retained to which src/evaluate.py adds."""
CURVE = ("bins", "binned", "covered", "optimizer_steps", "seconds")
"""Fields of Run that belong together."""
EXPORTED = "adapter_config.json"
"""A file of folders that src/export.py wrote: they have their run's config.yaml, but not its learning curve."""
Grouped = dict[str, dict[str, list[Run]]]
"""Runs by task, then by method, then by seed."""


def read(
    folders: Sequence[Path],
    seeds: Sequence[int] | None = None,
    unfinished: bool = False,
    evaluations: str = COUNTED[0],
    first: Sequence[str] = (),
) -> list[Run]:
    """Read all runs at and below the folders, sorted by task, method and seed; a run found twice counts once.

    seeds: take only these; every trained method must have them all. unfinished: whether to take runs that are not finished, as
    far as they have results.
    evaluations: which of a run's evaluations count (repeats.COUNTED). first: the tasks that come first, in this order.
    Raises UserError where there is no run, or where runs cannot be compared.
    """
    found = [run for folder in folders for run in _below(folder, unfinished)]
    if not unfinished:
        for run in found:
            _check_finished(run)
    chosen: dict[str, Run] = {}
    for run in sorted(found, key=lambda run: (_place(run.task, first), run.method, run.seed)):
        if seeds is None or run.seed in seeds or not run.steps:
            chosen[run.name] = _fuller(run, chosen.get(run.name, run))
    runs = [replace(run, which=evaluations) for run in chosen.values()]
    check_settings(runs)
    for task, methods in by_task(runs).items():
        _check_seeds(task, methods, seeds)
    if not runs:
        raise UserError(f"--seeds {','.join(map(str, seeds or ()))}: expected seeds that the runs have; leave the option out")
    return runs


def by_task(runs: Sequence[Run]) -> Grouped:
    """Group runs, in their order."""
    grouped: Grouped = {}
    for run in runs:
        grouped.setdefault(run.task, {}).setdefault(run.method, []).append(run)
    return grouped


def check_settings(runs: Sequence[Run]) -> None:
    """Raise UserError where runs of one task and method differ in more than the seed."""
    for task, methods in by_task(runs).items():
        for method, of_method in methods.items():
            _check_setting(task, method, of_method)


def without_ablations(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are not of an ablation, possibly none."""
    return [run for run in runs if not run.ablated]


def ordinary(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are not of an ablation. Raises UserError where there is none."""
    chosen = without_ablations(runs)
    if not chosen:
        raise UserError(
            f"expected a run that is not of an ablation, found {len(runs)} that are (labels that begin with {ABLATION}, or "
            "--ablations); draw these with python analysis/ablations.py"
        )
    return chosen


def _place(task: str, first: Sequence[str]) -> tuple[int, str]:
    return (first.index(task) if task in first else len(first), task)


def _below(folder: Path, unfinished: bool) -> list[Run]:
    if not os.path.isdir(folder):  # Path.is_dir raises where a name is too long
        raise UserError(f"{folder}: no such folder; expected a run folder, or one that holds some")
    files = (path for name in ("config.yaml", published.FILES[0]) for path in folder.rglob(name))
    runs: list[Run] = []
    for file in sorted(files):
        if file.name == published.FILES[0]:
            runs += published.read(file.parent)
        elif (file.parent / "provenance.json").exists() and not (file.parent / EXPORTED).exists():
            if unfinished and not has_results(file.parent):
                warn(f"{file.parent}: left out, since the run has no results yet")
            else:
                runs.append(read_folder(file.parent))
    if not runs:
        raise UserError(
            f"{folder}: no run in it; expected folders with config.yaml and provenance.json, as src/run.py writes them, "
            f"or published tables ({', '.join(published.FILES)})"
        )
    return runs


def _check_finished(run: Run) -> None:
    if run.finished:
        return
    way = f"finish it with python src/run.py resume={run.source}"
    if not (run.source / "config.yaml").exists():  # published as it was
        way = f"finish {run.name} and publish it again"
    raise UserError(f"{run.source}: expected finished runs, found an unfinished one; {way}, or add --unfinished")


def _fuller(run: Run, first: Run) -> Run:
    """Return the one of two copies of a run that was evaluated further; both must have the same results.

    They agree in what the run itself wrote, the time apart; where one was published with its episodes binned by their end, the
    bins of the other count. What src/evaluate.py added to either of them counts as added to the run.
    """
    _check_setting(run.task, run.method, [first, run])
    few, many = sorted((first, run), key=_extent)
    tables = list(zip(_own(few), _own(many), strict=True))
    if not _same_bins(run, first) or any(len(less.merge(more)) != len(less) for less, more in tables):
        raise UserError(
            f"{run.source}: the same setting and seed as {first.source} ({run.name}), "
            "with different results; name only one of them"
        )
    fuller, other = (many, few) if _extent(many) > _extent(few) else (first, run)
    known = {name: repeats.together(getattr(fuller.retained, name), getattr(other.retained, name)) for name in ADDED}
    evaluations = repeats.together(fuller.evaluations, other.evaluations)
    binned = next((each for each in (fuller, other) if each.binned == BEGAN), fuller)
    curve = {name: getattr(binned, name) for name in CURVE}
    return replace(fuller, evaluations=evaluations, retained=replace(fuller.retained, **known), **curve)


def _same_bins(run: Run, other: Run) -> bool:
    """Return whether two copies of a run have the same learning curve, as far as that can be told."""
    if run.binned != other.binned:
        return run.steps == other.steps
    return run.bins.drop(columns="seconds").equals(other.bins.drop(columns="seconds"))


def _extent(run: Run) -> tuple[int, ...]:
    """Return how far a run was evaluated: by itself, then in all."""
    return (*map(len, _own(run)), len(run.evaluations), len(run.retained.accuracies))


def _own(run: Run) -> list[pd.DataFrame]:
    """Return what two copies of a run have to agree on, as far as both have it: what the run wrote itself."""
    return [repeats.own(run.evaluations), repeats.own(run.retained.accuracies)]


def _check_setting(task: str, method: str, runs: Sequence[Run]) -> None:
    """Raise UserError where runs of a method differ in more than the seed. Options that a run lacks are not compared."""
    first = runs[0]
    for run in runs[1:]:
        for name in first.setting.keys() & run.setting.keys():
            ours, theirs = first.setting[name], run.setting[name]
            if ours != theirs and (ours == ours or theirs == theirs):  # nan is nan
                raise UserError(
                    f"{task}, {method}: expected runs of one setting, found {name}={shown(ours)} in {first.source} and "
                    f"{name}={shown(theirs)} in {run.source}; name only folders of one setting"
                )


def _check_seeds(task: str, methods: dict[str, list[Run]], seeds: Sequence[int] | None) -> None:
    """Raise UserError where a method that learns lacks one of the seeds; warn where methods have different seeds."""
    there = {method: [run.seed for run in runs] for method, runs in methods.items() if any(run.steps for run in runs)}
    for method, own in there.items():
        if missing := sorted(set(seeds or ()) - set(own)):
            raise UserError(
                f"--seeds {','.join(map(str, seeds or ()))}: {task}, {method} has no run with seed {missing[0]}; "
                f"train it, or ask for seeds {','.join(map(str, own))}"
            )
    compared = {method: own for method, own in there.items() if not method.startswith(ABLATION)}
    if len(set(map(tuple, compared.values()))) > 1:
        found = "; ".join(f"{method} has {','.join(map(str, own))}" for method, own in compared.items())
        warn(f"{task}: methods have different seeds: {found}")
