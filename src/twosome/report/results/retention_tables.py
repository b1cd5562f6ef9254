"""What the language model still knows: the rows of benchmarks, drift and forgetting, and their tables."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twosome.report.data import repeats
from twosome.report.data.retention import HEADLINE, QUESTIONS
from twosome.report.data.run import Run
from twosome.report.output import style
from twosome.report.output.tables import NONE, Table, bracketed, number
from twosome.report.paper import Paper, bracketed_tag
from twosome.report.statistics import retention
from twosome.report.statistics.estimates import Bootstrap, over_runs

TITLES = {"arc_challenge": "ARC, challenge", "hellaswag": "HellaSwag", "piqa": "PIQA", "mmlu": "MMLU",
          QUESTIONS: "drift probe's questions"}  # fmt: skip
COLUMNS = (
    *("trained on", "method", "benchmark", "metric", "items", "seeds", "before", "after", "change", "change, by seed"),
    *("p, by seed", "verdict", "the paper", "POAD"),
)
DRIFT_COLUMNS = (
    *("trained on", "method", "seeds", "perplexity before", "ratio", "ratio, by seed", "KL", "KL, by seed", "same top token"),
)
SIGNIFICANT = 0.05
NO_PAIR = (math.nan, math.nan)


def accuracy_rows(task: str, method: str, runs: Sequence[Run], paper: Paper) -> Iterator[dict[str, Any]]:
    """Yield a row for each benchmark and metric that any of the runs has."""
    poad = paper.retention["nearest"]["accuracies"]
    rows = pd.concat([run.counted_retained.accuracies for run in runs])
    for (benchmark, metric), group in rows.groupby(["task", "metric"], sort=False):
        found = retention.pooled(group, Bootstrap())
        row = {"trained_on": task, "method": method, "benchmark": benchmark, "metric": metric, "seeds": len(group)}
        row |= {"items": found.items, "before": found.before, "after": found.after}
        row |= {"change": float(found.change.center), "low": float(found.change.low), "high": float(found.change.high)}
        row |= {"by_seed": _joined(found.by_seed), "p_by_seed": _joined(found.p_values), "no_loss_above": found.no_loss_above}
        before, after = poad.get(benchmark, NO_PAIR) if metric == HEADLINE else NO_PAIR
        yield row | {"lm_eval": group.lm_eval.iloc[0], "poad_before": before, "poad_after": after}


def drift_rows(task: str, method: str, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield a row for a method whose runs were probed."""
    rows = pd.concat([run.counted_retained.drift for run in runs])
    if len(rows):
        row: dict[str, Any] = {"trained_on": task, "method": method, "seeds": len(rows)}
        row |= {"perplexity_before": rows.perplexity_before.iloc[0]}
        for name in ("perplexity_ratio", "kl", "top1_agreement"):
            row |= {name: rows[name].mean(), f"{name}_by_seed": _joined(rows[name])}
        yield row


def forgetting_rows(task: str, method: str, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield a row for each step at which all runs of a method were probed; a run without probes is left out."""
    tables = [run.retained.forgetting for run in runs if len(run.retained.forgetting)]
    for step, rows in retention.over_training(tables) if tables else ():
        row: dict[str, Any] = {"task": task, "method": method, "env_steps": step, "seeds": len(rows)}
        for name in ("return", "kl", "perplexity_ratio"):
            found = over_runs(rows[name].to_numpy(), "iqm", Bootstrap())
            row |= {name: float(found.center), f"{name}_low": float(found.low), f"{name}_high": float(found.high)}
        yield row


def _joined(values: Any) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def verdict(row: dict[Any, Any]) -> str:
    """Say what the items show of a loss; they never show that there is none."""
    p_values = [float(value) for value in row["p_by_seed"].split()]
    losses = [float(change) < 0 and p < SIGNIFICANT for change, p in zip(row["by_seed"].split(), p_values, strict=True)]
    if any(losses):
        return f"accuracy lost, in {sum(losses)} of {len(losses)} runs"
    return f"no loss detected larger than {row['no_loss_above']:.3f}"


def accuracy_table(data: pd.DataFrame, paper: Paper, which: str) -> Table:
    """Make the table of accuracies. which: of --evaluations."""
    part = paper.retention
    rows = []
    for row in data.to_dict("records"):
        benchmark = str(row["benchmark"])
        poad = NONE
        if not np.isnan(row["poad_before"]):
            poad = f"{row['poad_before']:.2f} to {row['poad_after']:.2f} {bracketed_tag(part['nearest'])}"
        rows.append([
            style.title(row["trained_on"]), style.label(row["method"]), TITLES.get(benchmark, benchmark), row["metric"],
            f"{row['items']:,}", f"{row['seeds']}", number(row["before"], 3), number(row["after"], 3),
            bracketed([row["change"], row["low"], row["high"]], 3), _each(row["by_seed"], "+.3f"), _each(row["p_by_seed"], ".2f"),
            verdict(row), f"{part['says']} {paper.tag('retention')}" if benchmark in part["benchmarks"] else NONE, poad,
        ])  # fmt: skip
    return Table("Language retention", COLUMNS, rows, [*_notes(data, paper), *repeats.notes(which)], left=4, data=data)


def drift_table(data: pd.DataFrame, which: str) -> Table:
    """Make the table of drift. which: of --evaluations."""
    rows = [
        [style.title(row["trained_on"]), style.label(row["method"]), f"{row['seeds']}", number(row["perplexity_before"]),
         number(row["perplexity_ratio"], 3), _each(row["perplexity_ratio_by_seed"], ".3f"), number(row["kl"], 3),
         _each(row["kl_by_seed"], ".3f"), number(row["top1_agreement"], 3)]
        for row in data.to_dict("records")
    ]  # fmt: skip
    note = (
        "Ratio: perplexity of the bundled prose after training over before. KL: divergence of the next token's distributions "
        "from the base, nats per token. Same top token: where both find the same one most likely, share of tokens. Means over "
        "seeds."
    )
    return Table("Drift of the language model", DRIFT_COLUMNS, rows, [note, *repeats.notes(which)], data=data)


def _each(joined: str, form: str) -> str:
    return " ".join(format(float(value), form) for value in joined.split())


def _notes(data: pd.DataFrame, paper: Paper) -> list[str]:
    nearest = paper.retention["nearest"]
    versions = ", ".join(sorted(set(data.lm_eval) - {""}))
    return [
        "Zero-shot, the same items before and after; before is the model before training. acc: the choice of the highest "
        "log-probability is right; acc_norm: the same, divided by the choice's length"
        + (f" (lm-eval {versions})." if versions else "."),
        "Over seeds: the items are the same, so each item's change is averaged over seeds, and the 95 % bootstrap interval "
        "resamples items: it says what other items would show of these very agents. What other trainings would give, the changes "
        "by seed show. For the drift probe's questions the interval's ends are means of the seeds' own.",
        "p: McNemar's exact test, of each seed. Several tests are made here: at 0.05, one in twenty is significant by chance.",
        "No loss detected larger than x: x is the upper end of the loss's 95 % score interval (Tango 1998), mean over seeds.",
        f"The paper: {paper.legend('retention')}; it says which benchmarks, and its numbers could not be obtained. POAD: "
        f"{nearest['source']}, {nearest['model']}; which metric is inferred from their size [I].",
    ]
