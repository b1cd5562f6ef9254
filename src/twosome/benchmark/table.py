"""The benchmark's results as a table for people."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

OPPONENTS = ("repeat", "cached", "remembered", "float32")


def line(row: Mapping[str, Any]) -> str:
    """Return one workload's result as a line."""
    ratios = (f"{name} {ratio(row[name]['ratio'])}" for name in (*OPPONENTS, "limit") if name in row)
    return f"{row['source']} {row['work']}: {median(row['engine']['seconds']):.2f} s; {', '.join(ratios)}"


def show(machine: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a row per workload."""
    table = Table(title=f"{machine['model']} in {machine['model_dtype']} on {machine['cpu']}, {machine['threads']} threads")
    ratios = [name for name in (*OPPONENTS, "limit") if any(name in row for row in rows)]
    for column in ("source", "work", "decisions (distinct)", "seconds", "of peak", *ratios):
        table.add_column(column, justify="left" if column in ("source", "work") else "right")
    source = None
    for row in rows:
        if source not in (None, row["source"]):
            table.add_section()
        table.add_row(
            row["source"] if row["source"] != source else "", row["work"], f"{row['decisions']} ({row['distinct']})",
            f"{median(row['engine']['seconds']):.2f}",
            f"{row['engine']['utilisation']['median']:.0%}",
            *(ratio(row[name]["ratio"]) if name in row else "" for name in ratios),
        )  # fmt: skip
        source = row["source"]
    Console(width=130).print(table)
    flops = ", ".join(f"{library} {ratio(found)}" for library, found in machine["matmul_gflops"].items())
    print(f"measured: {flops} GFLOP/s; {ratio(machine['bandwidth_gb_per_second'])} GB/s from memory")
    print("seconds, of peak: the engine's median time, and its model FLOPs per second over the measured peak")
    print("repeat, cached, remembered: how many times faster the engine is, median (minimum-maximum) of the rounds:")
    print("  repeat: a row per prompt and action for every sample; timed on a part and scaled")
    print("  cached: transformers' key-value cache, shared by a decision's actions; no duplicates within a step or minibatch")
    print("  remembered: the same, and an agent that remembers policies until the weights change")
    if "float32" in ratios:
        print("  float32: the engine with the same model in float32")
        for row in rows:
            if "from_float32" in row.get("float32", {}):
                print(f"{row['source']}: {differences(row['float32'])}")
    print("limit: the engine's time over the least that the distinct tokens take at the measured peak and bandwidth")


def ratio(found: Mapping[str, float]) -> str:
    """Return the median, and the minimum and maximum in brackets."""
    digits = ".1f" if found["maximum"] < 100 else ".0f"
    low, middle, high = (format(found[name], digits) for name in ("minimum", "median", "maximum"))
    return f"{middle} ({low}-{high})"


def differences(found: Mapping[str, Any]) -> str:
    """Return what `precision.precision` found, in words."""
    nats = {name: f"{found[name]['mean']:.4f} ({found[name]['maximum']:.4f})" for name in ("from_float32", "alone_and_together")}
    return (
        f"log-probabilities differ from float32's by {nats['from_float32']} nats on average (at most), of a decision alone "
        f"and in a batch by {nats['alone_and_together']}; the gradients' cosine is {found['gradient_cosine']:.5f}"
    )
