"""Runs src/run.py and tells, on standard error, which phase it is in: as the tests' words for moments to kill it at.

A line "<phase>" where a phase begins and "-<phase>" where it ends: rollout, update, checkpoint (the writing of its file), export.
"""

import functools
import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from twosome.algorithms.ppo import PPO  # noqa: E402
from twosome.storage.checkpoints import AtomicIO  # noqa: E402
from twosome.storage.folder import RunFolder  # noqa: E402
from twosome.training.module import LearningModule  # noqa: E402


def tell(word):
    os.write(2, f"@{word}\n".encode())


def telling(owner, name, phase, ends=True):
    """Wrap owner.name; ends=False: the phase goes on after it."""
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def wrapper(*arguments, **options):
        tell(phase)
        found = wrapped(*arguments, **options)
        if ends:
            tell(f"-{phase}")
        return found

    setattr(owner, name, wrapper)


telling(LearningModule, "collect", "rollout")
telling(PPO, "update", "update")
telling(AtomicIO, "save_checkpoint", "checkpoint")
telling(RunFolder, "export", "export")
sys.argv[0] = str(ROOT / "src" / "run.py")
runpy.run_path(sys.argv[0], run_name="__main__")
