"""Checkpoints on disk, written atomically."""

import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from twosome.files import write_atomic
from twosome.storage.folder import RunFolder


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
    """Save a checkpoint every so many updates and keep the two latest.

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
    """Return the newest checkpoint, or None if there is none yet."""
    return next(iter(folder.saved_updates), None)
