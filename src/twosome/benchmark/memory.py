"""The memory of runs: resident size, measured from outside, each run in its own process.

Each run is made twice: one update with the default rollout and everything that a run does besides, for the peak, and many updates
with small rollouts, for the growth.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from twosome.benchmark import synthetic
from twosome.benchmark.config import MEMORY_RUNS, BenchmarkConfig, forwarded
from twosome.errors import RunError

PEAK = ("total_steps=1", "algorithm.update_epochs=1", "evaluation.episodes=1")
"""One rollout, which a run rounds its steps up to, and one pass. More passes or episodes repeat the same."""
SMALL = ("algorithm.num_envs=2", "algorithm.num_steps=2", "algorithm.update_epochs=1",
         "evaluation.episodes=0", "evaluation.gif=false", "retention.drift=false")  # fmt: skip
RANDOM = (f"env.id={synthetic.__name__}:{synthetic.ID}", "env.task=nothing_recurs", "~env.prompt", "~env.kwargs")
FEWER = ("algorithm.num_steps=2",)
"""Steps of the default rollout of nothing_recurs. Each of its decisions is computed, so 32 steps would take long."""
INTERVAL = 0.05
"""Seconds between two readings."""


@dataclass
class Readings:
    """A process' resident size in MB: the peak, and readings by the number of updates that it had done."""

    peak: float = 0.0
    by_update: dict[int, list[float]] = field(default_factory=dict)

    def between(self, first: int, last: int) -> float:
        """Return the median of the readings after updates first to last; raise RunError if there are none."""
        found = [value for update in range(first, last + 1) for value in self.by_update.get(update, [])]
        if not found:
            raise RunError(f"memory: no reading after the updates {first} to {last}; set memory_updates to more of them")
        return median(found)


def measure_memory(options: BenchmarkConfig) -> list[dict[str, Any]]:
    """Make the runs; print a table and return its rows. Sizes are in MB."""
    given, rows = forwarded(options), []
    for name in options.memory_runs or MEMORY_RUNS:
        print(f"memory: {name}", file=sys.stderr, flush=True)
        recurs = name != "nothing_recurs"
        words = (*MEMORY_RUNS[name], *(() if recurs else RANDOM), *given)
        peak = run_process([*words, *PEAK, *(() if recurs else FEWER)])
        small = run_process([*words, *SMALL, f"total_steps={4 * options.memory_updates}"])
        rows.append({"run": name, "peak": peak.peak} | growth(small, options.memory_updates))
    show(rows, options.memory_updates)
    return rows


def growth(found: Readings, updates: int) -> dict[str, Any]:
    """Return the medians of the readings in each quarter of the updates, and the largest reading.

    Readings after the last update are left out: the run ends then, and loads other libraries.
    """
    bounds = [*(updates * quarter // 4 for quarter in range(4)), updates - 1]
    quarters = [found.between(first + 1, last) for first, last in pairwise(bounds)]
    largest = max(value for update, values in found.by_update.items() if update < updates for value in values)
    return {"updates": updates, "quarters": quarters, "largest": largest}


def run_process(words: Sequence[str]) -> Readings:
    """Make a run in a process and read its resident size while it lasts; raise RunError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        start = [sys.executable, "-c", "from twosome.cli.run import main; main()", *words, f"hydra.run.dir={folder}/run"]
        with log.open("wb") as output:
            process = subprocess.Popen(start, stdout=output, stderr=output)
        try:
            readings, code = _read(process, Path(folder) / "run/metrics.csv")
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        if code:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise RunError(f"memory: run.py {' '.join(words)} ended with exit code {code}: {lines[-1] if lines else 'no output'}")
    return readings


def _read(process: "subprocess.Popen[bytes]", metrics: Path) -> tuple[Readings, int]:
    """Read a process' resident size until it ends; return the readings and its exit code. metrics: has a row per update."""
    readings = Readings()
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            readings.peak = usage.ru_maxrss * 1024 / 1e6
            process.returncode = os.waitstatus_to_exitcode(status)
            return readings, process.returncode
        updates = metrics.read_bytes().count(b"\n") - 1 if metrics.exists() else 0
        if updates > 0:
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            readings.by_update.setdefault(updates, []).append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        time.sleep(INTERVAL)


def show(rows: Sequence[dict[str, Any]], updates: int) -> None:
    """Print a row per run."""
    table = Table(title=f"Resident memory in MB: peak of one update; medians of {updates} updates of 2 x 2 decisions")
    for column in ("run", "peak", "1st quarter", "2nd", "3rd", "4th", "largest"):
        table.add_column(column, justify="left" if column == "run" else "right")
    for row in rows:
        sizes = (row["peak"], *row["quarters"], row["largest"])
        table.add_row(row["run"], *(f"{size:,.0f}" for size in sizes))
    Console(width=130).print(table)
