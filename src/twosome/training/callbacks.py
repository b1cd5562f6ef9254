"""Lightning callbacks that write tables and show progress after each update."""

import io
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from twosome.envs.vector import Episode
from twosome.evaluation.retention.drift import DriftProbe
from twosome.files import write_atomic
from twosome.identity import AGENT
from twosome.storage.folder import RunFolder, Table


class TableWriter(pl.Callback):
    """A callback that appends rows to tables.

    Its checkpoint state is the number of rows of each table. When a run is resumed, rows that were written after the checkpoint
    are removed.
    """

    def __init__(self, **tables: Table) -> None:
        self.tables = tables
        self._rows = dict.fromkeys(tables, 0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Truncate the tables to the rows of the checkpoint (none for a new run)."""
        for name, table in self.tables.items():
            table.truncate(self._rows[name])

    def state_dict(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        return {name: len(table) for name, table in self.tables.items()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Set the numbers of rows to keep."""
        self._rows = dict(state_dict)


class Recorder(TableWriter):
    """The writer of metrics.csv and episodes.csv, which also passes the metrics to Lightning's loggers."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(metrics=folder.table("metrics.csv"), episodes=folder.table("episodes.csv"))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the update's rows."""
        metrics: dict[str, float] = outputs["metrics"]
        episodes: list[Episode] = outputs["episodes"]
        self.tables["episodes"].extend(episode.row() for episode in episodes)
        self.tables["metrics"].extend([metrics])
        for logger in trainer.loggers:
            finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
            logger.log_metrics(finite, step=int(metrics["env_steps"]))


class RetentionWriter(TableWriter):
    """The writer of retention.csv, the language model's drift from its base. every_n_updates: the interval of the probes."""

    def __init__(self, folder: RunFolder, probe: DriftProbe, every_n_updates: int) -> None:
        super().__init__(retention=folder.table("retention.csv"))
        self.probe, self.every_n_updates = probe, every_n_updates

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the drift if the update is a multiple of the interval."""
        metrics: dict[str, float] = outputs["metrics"]
        if metrics["update"] % self.every_n_updates == 0:
            head = {name: metrics[name] for name in ("update", "env_steps", "return", "success_rate")}
            self.tables["retention"].extend([head | self.probe.measure().point()])


class Progress(pl.Callback):
    """A progress line per update, redrawn in place on a terminal and appended elsewhere."""

    def __init__(self, num_updates: int, shown: Sequence[str], actor: str = AGENT) -> None:
        """shown: the algorithm's metrics to show in the line. actor: whose return and success it shows (`Algorithm.actor`)."""
        self.num_updates, self.shown = num_updates, shown
        self.whose = "" if actor == AGENT else f"{actor}'s "
        self._started, self._first = time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock for the estimate of the time left."""
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print the line of the update."""
        metrics = outputs["metrics"]
        done = metrics["update"]
        left = (time.monotonic() - self._started) / (done - self._first) * (self.num_updates - done)
        parts = [
            f"update {done}/{self.num_updates}",
            f"steps {metrics['env_steps']:,}",
            f"{self.whose}return {metrics['return']:.3f}",
            f"{self.whose}success {metrics['success_rate']:.2f}",
            *(f"{name} {metrics[name]:.4f}" for name in self.shown),
            *([f"distinct {metrics['distinct_decisions']:.0f}"] if "distinct_decisions" in metrics else []),
            f"{metrics['steps_per_second']:.0f} steps/s",
            f"left {int(left) // 60}:{int(left) % 60:02d}",
        ]
        terminal = sys.stderr.isatty()
        end = "\n" if not terminal or done == self.num_updates else ""
        print(("\r\x1b[K" if terminal else "") + " | ".join(parts), end=end, file=sys.stderr, flush=True)


class KeepSigterm(pl.Callback):
    """Restore the handler of SIGTERM that Lightning replaces when training starts.

    Lightning's own ends training only after the current update. submitit ignores SIGTERM: a job is queued again by SIGUSR2.
    """

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the handler: Lightning has just installed its own."""
        signal.signal(signal.SIGTERM, self.handler)


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
