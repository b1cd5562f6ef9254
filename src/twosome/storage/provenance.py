"""The provenance of a run's results: package versions, git commit, machine, time."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).parents[1]
PACKAGES = ("torch", "pytorch-lightning", "transformers", "peft", "gymnasium", "hydra-core", "omegaconf", "numpy")


def provenance(seed: int, agent: dict[str, Any]) -> dict[str, Any]:
    """Return package versions, git commit, whether the tree had changes, seed, machine, time, and the agent's own entries."""
    tracked = _git("ls-files", Path(__file__).name)  # an installed suite may lie inside another repository
    return {
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "git_commit": _git("rev-parse", "HEAD") if tracked else None,
        "git_changes": bool(tracked and _git("status", "--porcelain", "--untracked-files=no")),
        "seed": seed,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "started": now(),
        **agent,
    }


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return the CPU's model name; None where the system does not give it."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def now() -> str:
    """Return the current time in UTC, in ISO format."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git(*arguments: str) -> str | None:
    try:
        folder = Path(__file__).parent
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
