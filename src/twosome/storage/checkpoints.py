"""Checkpoints on disk: written whole or not at all, and checked before a run goes on from one."""

import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from twosome.errors import UserError, folded
from twosome.files import write_atomic
from twosome.storage.folder import RunFolder

ENTRIES = {"epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states", "run"}
"""What a checkpoint holds: Lightning's, and the run's own (`twosome.training.module`)."""


class AtomicIO(TorchCheckpointIO):
    """Writes beside the final file and renames. (Lightning's own writes below the system's folder for temporary files and
    moves from there, which between two disks is a copy that a kill can cut short.)"""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See TorchCheckpointIO."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(Path(path), buffer.getvalue())


def keep_two(folder: RunFolder, every_n_updates: int) -> ModelCheckpoint:
    """Keep the two latest checkpoints: the older one in case the newer is damaged."""
    return ModelCheckpoint(
        dirpath=folder.checkpoints,
        filename="{update:06.0f}",
        monitor="update",
        mode="max",
        save_top_k=2,
        every_n_epochs=every_n_updates,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def remove_older(folder: RunFolder) -> None:
    """Leave the two latest checkpoints. Lightning never removes one that a run was continued from."""
    for path in sorted(folder.checkpoints.glob("update=*.ckpt"))[:-2]:
        path.unlink()


def latest(folder: RunFolder) -> Path | None:
    """The newest checkpoint that is whole, or None before the first. A damaged one is passed over, which a line says.

    Raises UserError where there are checkpoints and none is whole.
    """
    found = sorted(folder.checkpoints.glob("update=*.ckpt"), reverse=True)
    damages: list[str] = []
    for path in found:
        damage = _damage(path)
        if damage is None:
            if damages:
                print(f"{folder.path}: damaged: {'; '.join(damages)}; going on from {path.name}", file=sys.stderr)
            return path
        damages.append(f"{path.name} ({damage})")
    if damages:
        raise UserError(
            f"resume={folder.path}: expected a whole checkpoint, all are damaged: {'; '.join(damages)}; "
            f"copy one back, or start anew: remove {folder.checkpoints}"
        )
    return None


def _damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's file; None where it is whole. PyTorch itself does not look at the checksums in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                return f"wrong checksum of {broken}"
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or (missing := ENTRIES - content.keys()):
            return f"no checkpoint of a run: it lacks {', '.join(sorted(missing))}" if isinstance(content, dict) else "no mapping"
    except Exception as error:  # zipfile, pickle and torch raise many kinds
        return folded(error, 120)
    return None
