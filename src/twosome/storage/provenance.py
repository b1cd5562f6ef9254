"""Where a run's numbers come from."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "pytorch-lightning", "transformers", "peft", "gymnasium", "hydra-core", "omegaconf", "numpy")


def provenance(seed: int, agent: dict[str, Any]) -> dict[str, Any]:
    """Package versions, git commit (and whether the tree had changes), seed, machine, time; and what the agent says of itself."""
    tracked = _git("ls-files", Path(__file__).name)  # an installed suite may lie in somebody else's repository
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


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git(*arguments: str) -> str | None:
    try:
        folder = Path(__file__).parent
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
