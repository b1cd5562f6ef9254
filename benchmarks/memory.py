"""Measure the resident memory of runs from outside, each in its own process, in MB.

Each run is made twice: one update with the default rollout and everything that a run does besides, for the peak, and many updates
of 2 x 2 decisions, for the growth: medians of the readings in each quarter of the updates.

Examples:
  python benchmarks/memory.py
  python benchmarks/memory.py --runs tomato_salad,nothing_recurs --updates 600 model=tiny_random
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import synthetic
from twosome.storage.provenance import cpu_name, provenance

HERE = Path(__file__).resolve().parent
RANDOM = [f"env.id={synthetic.ID}", "env.task=nothing_recurs", "~env.prompt", "~env.kwargs"]
RUNS = {
    "tomato_salad": ["env.task=tomato_salad"],
    "tomato_lettuce_salad": ["env.task=tomato_lettuce_salad"],
    "food_preparation": ["env=virtualhome", "env.task=food_preparation"],
    "entertainment": ["env=virtualhome", "env.task=entertainment"],
    "nothing_recurs": RANDOM,
}
PEAK = ["total_steps=1", "algorithm.update_epochs=1", "evaluation.episodes=1"]
"""One rollout, which a run rounds its steps up to, and one pass. More passes or episodes repeat the same."""
FEWER = ["algorithm.num_steps=2"]
"""Steps of the default rollout of nothing_recurs. Each of its decisions is computed, so 32 steps would take long."""
SMALL = ["algorithm.num_envs=2", "algorithm.num_steps=2", "algorithm.update_epochs=1", "evaluation.episodes=0",
         "evaluation.gif=false",
         "retention.drift=false"]  # fmt: skip
INTERVAL = 0.05
"""Seconds between two readings."""


def run(words: Sequence[str]) -> tuple[float, dict[int, list[float]]]:
    """Make a run; return the peak of its process, and readings by the number of updates that it had done."""
    readings: dict[int, list[float]] = defaultdict(list)
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder) / "run/metrics.csv"
        command = [sys.executable, str(HERE.parent / "src/run.py"), *words, f"hydra.run.dir={folder}/run"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path})
        try:
            while True:
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    break
                updates = metrics.read_bytes().count(b"\n") - 1 if metrics.exists() else 0
                if updates > 0:
                    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                    readings[updates].append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
                time.sleep(INTERVAL)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
    if process.returncode:
        sys.exit(f"error: run.py {' '.join(words)} ended with exit code {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6, readings


def growth(readings: dict[int, list[float]], updates: int) -> dict[str, Any]:
    """Return the medians of the readings in each quarter of the updates, and the largest reading; None where there is none.

    Readings after the last update are left out: the run ends then, and loads other libraries.
    """
    quarters: list[list[float]] = [[], [], [], []]
    for update, values in readings.items():
        if update < updates:
            quarters[(update - 1) * 4 // updates] += values
    largest = max((value for each in quarters for value in each), default=None)
    return {"quarters": [median(each) if each else None for each in quarters], "largest": largest}


def main() -> None:
    """Make the runs, print a table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="options of src/run.py: model=...")
    parser.add_argument("--runs", default=",".join(RUNS), help="which runs")
    parser.add_argument("--updates", type=int, default=200, help="updates of the runs whose growth is measured")
    parser.add_argument("--output", type=Path, default=Path("memory.json"))
    options = parser.parse_intermixed_args()
    rows = []
    print("| | peak | 1st quarter | 2nd | 3rd | 4th | largest |\n|---|---|---|---|---|---|---|")
    for name in options.runs.split(","):
        peak, _ = run([*RUNS[name], *PEAK, *(FEWER if name == "nothing_recurs" else []), *options.words])
        _, readings = run([*RUNS[name], *SMALL, f"total_steps={4 * options.updates}", *options.words])
        rows.append({"run": name, "updates": options.updates, "peak": peak, **growth(readings, options.updates)})
        sizes = [peak, *rows[-1]["quarters"], rows[-1]["largest"]]
        print(f"| {name} | {' | '.join('' if size is None else f'{size:,.0f}' for size in sizes)} |", flush=True)
    machine = {"cpu": cpu_name(), **provenance(0, {})}
    options.output.write_text(json.dumps({"machine": machine, "words": options.words, "runs": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
