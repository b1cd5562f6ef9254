"""What the language model still knows: rows of benchmarks, drift and forgetting, pooled over seeds, and their tables."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twosome.errors import UserError
from twosome.report import style
from twosome.report.measures import HEADLINE, item_changes
from twosome.report.output import NONE, Table, bracketed, by_seed, latest, notes, number
from twosome.report.paper import Paper
from twosome.report.records import QUESTIONS
from twosome.report.runs import Run
from twosome.report.statistics import Estimate, Estimator, mean_over_tasks

TITLES = {"arc_challenge": "ARC, challenge", "hellaswag": "HellaSwag", "piqa": "PIQA", "mmlu": "MMLU",
          QUESTIONS: "drift probe's questions"}  # fmt: skip
DRIFT_COLUMNS = (
    *("trained on", "method", "seeds", "perplexity before", "ratio", "ratio, by seed", "KL", "KL, by seed", "same top token"),
)
SIGNIFICANT = 0.05
NO_PAIR = (math.nan, math.nan)


def accuracy_rows(task: str, method: str, runs: Sequence[Run], paper: Paper) -> Iterator[dict[str, Any]]:
    """Yield a row for each benchmark and metric that any of the runs has.

    before, after: accuracies, means over seeds. change: after - before, and its 95 % interval over items. All seeds have the same
    items. So the change of an item is averaged over seeds, and items are resampled: more seeds do not make more items. Where a
    run kept no outcomes (the drift probe's questions), the interval's ends are means of the seeds' ends.
    p_by_seed: each run's p-value, by McNemar's test. no_loss_above: the smallest loss that is excluded, the mean of the seeds'
    bounds (Tango's). It is not below the bound of the mean change, whose standard error is at most the mean of the seeds' own.
    Raises UserError where runs have different items.
    """
    poad = paper.content["retention"]["nearest"]["accuracies"]
    for (benchmark, metric), rows in pd.concat([run.accuracies for run in runs]).groupby(["task", "metric"], sort=False):
        if len(asked := set(zip(rows["items"], rows.data, strict=True))) > 1:
            raise UserError(f"{benchmark}, {metric}: expected the same items in all runs, found {len(asked)} choices of them")
        if all(rows.outcomes):
            items = np.mean([item_changes(outcomes) for outcomes in rows.outcomes], axis=0)
            change = Estimator().bootstrap(mean_over_tasks, [items])
        else:
            change = Estimate(*(np.array(rows[name].mean()) for name in ("difference", "low", "high")))
        before, after = poad.get(benchmark, NO_PAIR) if metric == HEADLINE else NO_PAIR
        yield {
            **{"trained_on": task, "method": method, "benchmark": benchmark, "metric": metric, "seeds": len(rows)},
            **{"items": int(rows["items"].iloc[0]), "before": float(rows.before.mean()), "after": float(rows.after.mean())},
            **{"change": float(change.center), "low": float(change.low), "high": float(change.high)},
            **{"by_seed": _joined(rows.difference), "p_by_seed": _joined(rows.p_value)},
            **{"no_loss_above": float(rows.no_loss_above.mean()), "lm_eval": rows.lm_eval.iloc[0]},
            **{"poad_before": before, "poad_after": after},
        }


def drift_rows(task: str, method: str, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield a row for a method whose runs were probed."""
    rows = pd.concat([run.drift for run in runs])
    if len(rows):
        row: dict[str, Any] = {"trained_on": task, "method": method, "seeds": len(rows)}
        row |= {"perplexity_before": rows.perplexity_before.iloc[0]}
        for name in ("perplexity_ratio", "kl", "top1_agreement"):
            row |= {name: rows[name].mean(), f"{name}_by_seed": _joined(rows[name])}
        yield row


def forgetting_rows(task: str, method: str, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield a row for each step at which all runs of a method were probed; a run without probes is left out."""
    tables = [run.forgetting for run in runs if len(run.forgetting)]
    common = set.intersection(*(set(table.env_steps) for table in tables)) if tables else set()
    for step in sorted(common):
        rows = pd.concat([table[table.env_steps == step] for table in tables])
        row: dict[str, Any] = {"task": task, "method": method, "env_steps": step, "seeds": len(rows)}
        for name in ("return", "kl", "perplexity_ratio"):
            row |= Estimator().over_runs(rows[name].to_numpy()).columns(name)
        yield row


def _joined(values: Any) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def verdict(row: Mapping[Any, Any]) -> str:
    """Say what the items show of a loss; they never show that there is none."""
    p_values = [float(value) for value in row["p_by_seed"].split()]
    losses = [float(change) < 0 and p < SIGNIFICANT for change, p in zip(row["by_seed"].split(), p_values, strict=True)]
    if any(losses):
        return f"accuracy lost, in {sum(losses)} of {len(losses)} runs"
    return f"no loss detected larger than {row['no_loss_above']:.3f}"


def accuracy_table(data: pd.DataFrame, paper: Paper, evaluations: str) -> Table:
    """Make the table of accuracies. evaluations: of --evaluations."""
    part = paper.content["retention"]
    nearest = part["nearest"]
    cells = [
        {
            "trained on": style.title(row["trained_on"]),
            "method": style.label(row["method"]),
            "benchmark": TITLES.get(row["benchmark"], row["benchmark"]),
            "metric": row["metric"],
            "items": f"{row['items']:,}",
            "seeds": f"{row['seeds']}",
            "before": number(row["before"], 3),
            "after": number(row["after"], 3),
            "change": bracketed([row["change"], row["low"], row["high"]], 3),
            "change, by seed": by_seed(row["by_seed"], "+.3f"),
            "p, by seed": by_seed(row["p_by_seed"], ".2f"),
            "verdict": verdict(row),
            "the paper": f"{part['says']} {paper.tag('retention')}" if row["benchmark"] in part["benchmarks"] else NONE,
            "POAD": NONE
            if math.isnan(row["poad_before"])
            else f"{row['poad_before']:.2f} to {row['poad_after']:.2f} [{nearest['tag']}]",
        }
        for row in data.to_dict("records")
    ]
    versions = ", ".join(sorted(set(data.lm_eval) - {""}))
    poad = f"{nearest['source']}, {nearest['model']}"
    words = {"versions": f" (lm-eval {versions})" if versions else "", "legend": paper.legend("retention"), "poad": poad}
    return Table.of("Language retention", cells, [*notes("retention", **words), *latest(evaluations)], left=4, data=data)


def drift_table(data: pd.DataFrame, evaluations: str) -> Table:
    """Make the table of drift. evaluations: of --evaluations."""
    rows = [
        [style.title(row["trained_on"]), style.label(row["method"]), f"{row['seeds']}", number(row["perplexity_before"]),
         number(row["perplexity_ratio"], 3), by_seed(row["perplexity_ratio_by_seed"], ".3f"), number(row["kl"], 3),
         by_seed(row["kl_by_seed"], ".3f"), number(row["top1_agreement"], 3)]
        for row in data.to_dict("records")
    ]  # fmt: skip
    return Table("Drift of the language model", DRIFT_COLUMNS, rows, [*notes("drift"), *latest(evaluations)], data=data)
