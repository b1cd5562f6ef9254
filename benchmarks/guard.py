"""Do nine short runs with the suite of a checkout, and keep what has to stay equal to the byte while the code is rewritten.

    python benchmarks/guard.py CHECKOUT OUT
    diff -r OUT_BEFORE OUT_AFTER


The bytes depend on the processor and on the packages, so both checkouts are run on one machine, by one interpreter. Timings are
left out of metrics.csv and evaluation.json. It takes some minutes.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

SMALL = [
    "algorithm.num_envs=4",
    "algorithm.num_steps=8",
    "algorithm.num_minibatches=2",
    "total_steps=96",
    "evaluation.episodes=1",
    "evaluation.gif=false",
    "retention.drift=false",
]
TINY = ["model=tiny_random", *SMALL]
RUNS = {
    "overcooked": [*SMALL],
    "virtualhome": ["env=virtualhome", *SMALL],
    "babyai_text": ["env=babyai_text", "env.task=go_to", "env.kwargs.room_size=6", "env.kwargs.num_objects=2", *SMALL],
    "ppo": ["baseline=ppo", *SMALL],
    "poad": ["baseline=poad", *TINY],
    "grpo": ["baseline=grpo", *TINY],
    "drrn": ["baseline=drrn", "total_steps=200", "evaluation.episodes=1", "evaluation.gif=false"],
    "fsdp": ["trainer=fsdp", "trainer.accelerator=cpu", *TINY],
    "resumed": [*TINY, "total_steps=3200"],
}
"""The words of each run. The last one is killed after some updates and resumed."""
TIMES = ("seconds", "per_second", "started", "finished")
"""Parts of the names of columns and entries in which equal runs differ."""


def command(checkout: Path, folder: Path, words: list[str]) -> list[str]:
    """Return the command of a run in a folder."""
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"] if "trainer=fsdp" in words else []
    return [sys.executable, *torchrun, str(checkout / "src/run.py"), *words, f"hydra.run.dir={folder}"]


def kill_after_updates(started: "subprocess.Popen[bytes]", folder: Path, updates: int) -> None:
    """Kill a run when metrics.csv has as many lines."""
    while started.poll() is None:
        metrics = folder / "metrics.csv"
        if metrics.exists() and metrics.read_text().count("\n") > updates:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
        time.sleep(0.01)


def kept(folder: Path, out: Path) -> None:
    """Write what has to stay equal of a run."""
    out.mkdir(parents=True)
    metrics = pd.read_csv(folder / "metrics.csv", dtype=str)
    timings = [name for name in map(str, metrics.columns) if any(part in name for part in TIMES)]
    metrics.drop(columns=timings).to_csv(out / "metrics.csv", index=False)
    if (folder / "episodes.csv").exists():
        shutil.copy(folder / "episodes.csv", out)
    records = json.loads((folder / "evaluation.json").read_text())
    (out / "evaluation.json").write_text(json.dumps([untimed(each) for each in records], indent=1))
    weights = sorted(path for name in ("adapter", "model", "policy") for path in folder.glob(f"{name}/*.safetensors"))
    (out / "weights.txt").write_text(
        "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}\n" for path in weights)
    )


def untimed(entries: dict[str, Any]) -> dict[str, Any]:
    """Return a record without its times."""
    return {name: value for name, value in entries.items() if not any(part in name for part in TIMES)}


def main() -> None:
    """Do the runs, two minutes each at most."""
    checkout, out = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    for name, words in RUNS.items():
        folder, started = out / "runs" / name, time.time()
        done = subprocess.Popen(
            command(checkout, folder, words), env=environment, start_new_session=True, stdout=subprocess.DEVNULL
        )
        if name == "resumed":
            kill_after_updates(done, folder, 20)
            done = subprocess.Popen(
                [sys.executable, str(checkout / "src/run.py"), f"resume={folder}"], env=environment, stdout=subprocess.DEVNULL
            )
        if done.wait():
            sys.exit(f"{name}: the run failed")
        kept(folder, out / "kept" / name)
        print(f"{name}: {time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
