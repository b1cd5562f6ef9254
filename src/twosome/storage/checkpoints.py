"""Checkpoints on disk: written atomically, and checked before a run is resumed from one."""

import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from twosome.errors import UserError, folded, visible
from twosome.files import write_atomic
from twosome.storage.folder import RunFolder

ENTRIES = {"epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states", "run"}
"""The entries of a checkpoint: Lightning's, and "run" (`twosome.training.module`)."""


class AtomicIO(TorchCheckpointIO):
    """A checkpoint writer that writes a temporary file in the same folder and renames it.

    (Lightning's own writes to the system's temporary folder. Moving from there to another disk copies the file, and a kill can
    leave a part of it.)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See TorchCheckpointIO."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(exist_ok=True)
        write_atomic(Path(path), buffer.getvalue())


class KeepTwo(Checkpoint):
    """Save a checkpoint every so many updates and keep the two latest; the older one is used if the newer one is damaged.

    Which files are removed follows from the folder alone. (Lightning's ModelCheckpoint removes the paths that the checkpoint of a
    resumed run names, which may come from anybody.)
    """

    def __init__(self, folder: RunFolder, every_n_updates: int) -> None:
        self.folder, self.every_n_updates = folder, every_n_updates

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the update if it is a multiple of the interval."""
        update = trainer.current_epoch + 1
        if update % self.every_n_updates == 0:
            trainer.save_checkpoint(self.folder.checkpoints / f"update={update:06}.ckpt")
            if trainer.is_global_zero:  # the ranks share the folder of the checkpoints
                for path in self.folder.saved_updates[2:]:
                    path.unlink()


def latest(folder: RunFolder) -> Path | None:
    """Return the newest complete checkpoint, or None if there is none yet. Damaged ones are skipped, and a line says so.

    Raises UserError if all checkpoints are damaged.
    """
    damages: list[str] = []
    for path in folder.saved_updates:
        damage = _damage(path)
        if damage is None:
            if damages:
                print(visible(f"{folder.path}: damaged: {'; '.join(damages)}; going on from {path.name}"), file=sys.stderr)
            return path
        damages.append(f"{path.name} ({damage})")
    if damages:
        raise UserError(
            f"resume={folder.path}: expected a whole checkpoint, all are damaged: {'; '.join(damages)}; "
            f"copy one back, or start anew: remove {folder.checkpoints}"
        )
    return None


def _damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint's file, or None if it is complete. PyTorch does not verify the file's checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                return f"wrong checksum of {broken}"
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or (missing := ENTRIES - content.keys()):
            return f"no checkpoint of a run: it lacks {', '.join(sorted(missing))}" if isinstance(content, dict) else "no mapping"
    except Exception as error:  # zipfile, pickle and torch raise errors of many classes
        return folded(error, 120)
    return None
