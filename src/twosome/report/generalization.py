"""Success on tasks that were not trained on (suite=unseen or cross of src/evaluate.py), and in tests (suite=glam)."""

import json
import math
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from twosome.errors import UserError
from twosome.report import style
from twosome.report.output import NONE, Table, bracketed, by_seed, latest, notes, number, warn
from twosome.report.paper import Paper
from twosome.report.records import EVALUATED
from twosome.report.runs import WHO, Grouped, Run
from twosome.report.statistics import wilson

PLAYED = ("env", "task", "own", "when", "episodes", "success_rate", "return_mean", "return_std", "decisions_mean")
OWN = "its own setting"
Z99 = 2.576


def tested(runs: Sequence[Run], mode: str) -> bool:
    """Return whether one of the runs was tested on another task than its own."""
    return not all(run.played(mode).own.all() for run in runs)


def rows(tasks: Grouped, paper: Paper, options: Namespace) -> pd.DataFrame:
    """Make the rows of `pooled` for each trained-on task, with the paper's rates. Raises UserError without any."""
    tables = []
    for task, methods in tasks.items():
        agents = methods.get(options.method, [])
        if tested(agents, options.mode):
            found = pooled(agents, options.mode).assign(trained_on=task, trained_env=agents[0].config["env"]["id"])
            known = paper.unseen(task, options.method) if options.mode == "sampled" else {}
            rates = {(to, when): rate for to, own in known.items() for when, rate in zip(("before", "after"), own, strict=True)}
            cells = zip(found.task, found.when, found.env == found.trained_env, strict=True)
            found["paper"] = [rates.get((to, when), math.nan) if same else math.nan for to, when, same in cells]
            found["paper_tag"] = found.paper.isna().map({True: "", False: paper.content["unseen"]["tag"]})
            tables.append(found)
        elif agents:
            warn(f"{task}: left out, since no run of {options.method} was tested on another task (src/evaluate.py, suite=unseen)")
    if not tables:
        raise UserError(f"--method {options.method}: expected a run with evaluations by src/evaluate.py suite=unseen, found none")
    data = pd.concat(tables, ignore_index=True)
    front = ["trained_env", "trained_on"]
    return data[[*front, *(name for name in data if name not in front)]]


def pooled(runs: Sequence[Run], mode: str = "sampled") -> pd.DataFrame:
    """Pool the success of runs that differ only in the seed: a row per task and player, the tasks in the order of the records.

    rate, low, high: of all their episodes, with the 95 % Wilson interval. Random play and the untrained model do not depend on
    the seed: equal results of several runs are one evaluation, whose episodes count once. by_seed: each run's rate. gain,
    gain_low, gain_high: the trained agent's rate less the untrained one's, mean and range over runs. The task that was trained
    on has a row where all runs have a record of it. Raises UserError where a run lacks another record.
    """
    every, found = pd.concat([run.played(mode)[list(PLAYED)] for run in runs]), []
    for env, task, own in every[["env", "task", "own"]].drop_duplicates().itertuples(index=False):
        there = every[(every.env == env) & (every.task == task)]
        by_player = {when: there[there.when == when] for when in WHO}
        lacking = [when for when, records in by_player.items() if len(records) < len(runs)]
        if lacking and not own:
            raise UserError(f"{runs[0].task}, {runs[0].method}: some run lacks a {mode} evaluation on {task} by the "
                            f"{WHO[lacking[0]]} policy; make it with python src/evaluate.py, suite=unseen or cross")  # fmt: skip
        for when in (when for when in WHO if when not in lacking):
            records = by_player[when] if when == "after" else by_player[when].drop_duplicates()
            successes = sum(round(rate * number) for rate, number in zip(records.success_rate, records.episodes, strict=True))
            counts = {"episodes": int(records.episodes.sum()), "successes": successes}
            interval, rates = wilson(successes, counts["episodes"]), by_player[when].success_rate.to_numpy()
            row: dict[str, Any] = {"env": env, "task": task, "own": own, "when": when, "seeds": len(rates), **counts}
            row |= {"rate": float(interval.center), "low": float(interval.low), "high": float(interval.high)}
            row |= {"seed_low": rates.min(), "seed_high": rates.max(), "by_seed": " ".join(f"{rate:.6g}" for rate in rates)}
            if when == "after" and "before" not in lacking:
                gains = rates - by_player["before"].success_rate.to_numpy()
                row |= {"gain": gains.mean(), "gain_low": gains.min(), "gain_high": gains.max()}
            found.append(row)
    return pd.DataFrame(found)


def unseen_table(data: pd.DataFrame, paper: Paper, options: Namespace) -> Table:
    """Make a table with a row for each trained-on and tested-on task."""
    cells, tag = [], f" {paper.tag('unseen')}"
    for (trained, task), group in data.groupby(["trained_on", "task"], sort=False):
        by = {str(row["when"]): row for row in group.to_dict("records")}
        after, papers = by["after"], {when: number(by[when]["paper"]) for when in ("before", "after")}
        ends = " to ".join(dict.fromkeys(_signed(after[end]) for end in ("gain_low", "gain_high")))
        cells.append({
            **{"trained on": style.title(str(trained)), "tested on": style.title(str(task)), "runs": f"{after['seeds']}"},
            **{name: bracketed([by[when][end] for end in ("rate", "low", "high")]) for when, name in WHO.items()},
            "trained, by seed": by_seed(after["by_seed"], ".2f"),
            "gain, by seed": f"{_signed(after['gain'])} ({ends})",
            **{f"paper, {WHO[when]}": shown + (tag if shown != NONE else "") for when, shown in papers.items()},
        })  # fmt: skip
    origin = notes("unseen", legend=paper.legend("unseen"), episodes=paper.content["unseen"]["episodes"])
    return Table.of("Generalisation to unseen tasks", cells, [*_rates(options), *origin], data=data)


def transfer_table(data: pd.DataFrame, options: Namespace) -> Table:
    """Make a table with a row for each tested-on task and a column for each trained-on one."""
    trained, cells = list(dict.fromkeys(data.trained_on)), []
    for (_, task), group in data.groupby(["env", "task"], sort=False):
        shown = {row["trained_on"]: f"{row['rate']:.2f} ({_signed(row['gain'])})" for row in group.to_dict("records")}
        columns = {f"trained on {style.title(name).lower()}": shown.get(name, NONE) for name in trained}
        cells.append({"tested on": style.title(str(task)), **columns})
    return Table.of("Transfer between tasks", cells, [*_rates(options), *notes("transfer")], left=1, data=data)


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no -0.00


def _rates(options: Namespace) -> list[str]:
    return [*notes("rates", method=style.label(options.method), mode=options.mode), *latest(options.evaluations)]


def glam_rows(tasks: Grouped, paper: Paper) -> Iterator[dict[str, Any]]:
    """Yield a row for each trained-on task, method, test of its environment and player that runs have records of."""
    part = paper.content["glam"]
    for task, methods in tasks.items():
        for method, runs in methods.items():
            by_run = [_tests_of(run, part) for run in runs]
            by_run = [tests for tests in by_run if set(tests) - {OWN}]
            for name in dict.fromkeys(name for tests in by_run for name in tests):
                for when in WHO:
                    records = [tests[name][when] for tests in by_run if when in tests.get(name, {})]
                    if records:
                        every = pd.DataFrame(records).drop(columns=EVALUATED)
                        counted = every if when == "after" else every.drop_duplicates()
                        episodes = int(counted.episodes.sum())
                        rate = sum(counted.success_rate * counted.episodes) / episodes
                        half = Z99 * math.sqrt(rate * (1 - rate) / episodes)
                        yield {
                            **{"trained_on": task, "method": method, "test": name, "when": when, "seeds": len(records)},
                            **{"episodes": episodes, "rate": rate, "half_99": half},
                            "paper": _papers_number(part, name, runs[0], when),
                        }


def _tests_of(run: Run, part: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the run's sampled records by test and player, its own setting first.

    The tests are GLAM's in its environment, and in others the records with other options of the environment (split=test).
    """
    found, tests = {}, part["tests"]
    if run.config["env"]["id"] != part["env"]:
        changed = [json.loads(options) for options in run.evaluations.options.unique()]
        tests = {", ".join(f"{name}={value}" for name, value in each.items()): {"options": each} for each in changed if each}
    for name, test in {OWN: {}, **tests}.items():
        changes = {key: test[key] for key in ("task", "prompt", "options") if key in test}
        by_player = {when: record for when in WHO if (record := run.evaluation(when, **changes))}
        if by_player:
            found[name] = by_player
    return found


def _papers_number(part: Mapping[str, Any], name: str, run: Run, when: str) -> float:
    """Return the paper's number for a test and who plays it; nan where the paper has none of such runs.

    run: one of those of a method and task.
    """
    options, test = run.config["env"].get("kwargs", {}), part["tests"].get(name, {})
    numbers = test.get("paper") if test.get("trained_on", part["trained_on"]) == run.task else None
    if name == OWN:
        numbers = part["training"].get(run.task)
    if any(options.get(option, value) != value for option, value in part["options"].items()):
        numbers = None
    by_player = dict(zip(part["players"], numbers or [], strict=False))
    found = by_player.get(when, by_player.get(f"{run.method} {when}"))
    return math.nan if found is None else float(found)


def glam_table(data: pd.DataFrame, paper: Paper, options: Namespace) -> Table:
    """Make the table of GLAM's tests. data: of `glam_rows`."""
    cells = []
    for (task, method, test), group in data.groupby(["trained_on", "method", "test"], sort=False):
        by, row = {each["when"]: each for each in group.to_dict("records")}, {"trained on": style.title(str(task))}
        row |= {"agent": style.label(str(method)), "test": str(test)} | dict.fromkeys(WHO.values(), NONE)
        row |= {name: f"{number(by[when]['rate'])} (± {number(by[when]['half_99'])})" for when, name in WHO.items() if when in by}
        cells.append(row | {f"paper, {name}": number(by[when]["paper"]) if when in by else NONE for when, name in WHO.items()})
    source = paper.legend("glam").replace(paper.content["model"], paper.content["glam"]["model"])
    remarks = [*notes("glam", source=source), *latest(options.evaluations)]
    return Table.of("Tests of generalisation", cells, remarks, left=3, data=data)
