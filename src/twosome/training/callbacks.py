"""What happens around an update: rows are written, progress is shown."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl

from twosome.envs.episode import Episode
from twosome.evaluation.retention.drift import DriftProbe
from twosome.storage.folder import RunFolder
from twosome.storage.table import Table


class TableWriter(pl.Callback):
    """Writes tables that grow with training.

    Its checkpoint state is how many rows each had: rows that a killed run wrote after its last checkpoint are taken back
    before the resumed run writes them again.
    """

    def __init__(self, **tables: Table) -> None:
        self.tables = tables
        self._rows = dict.fromkeys(tables, 0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go back to the rows of the checkpoint (none for a fresh run)."""
        for name, table in self.tables.items():
            table.truncate(self._rows[name])

    def state_dict(self) -> dict[str, int]:
        """Rows written so far."""
        return {name: len(table) for name, table in self.tables.items()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Remember how many rows to keep."""
        self._rows = dict(state_dict)


class Recorder(TableWriter):
    """Writes metrics.csv and episodes.csv after each update and hands the metrics to Lightning's loggers."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(metrics=folder.table("metrics.csv"), episodes=folder.table("episodes.csv"))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the update's rows."""
        metrics: dict[str, float] = outputs["metrics"]
        episodes: list[Episode] = outputs["episodes"]
        self.tables["episodes"].extend(asdict(episode) for episode in episodes)
        self.tables["metrics"].extend([metrics])
        for logger in trainer.loggers:
            finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
            logger.log_metrics(finite, step=int(metrics["env_steps"]))


class Forgetting(TableWriter):
    """Writes retention.csv: how far the language model has moved from its base, every so many updates."""

    def __init__(self, folder: RunFolder, probe: DriftProbe, every_n_updates: int) -> None:
        super().__init__(retention=folder.table("retention.csv"))
        self.probe, self.every_n_updates = probe, every_n_updates

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Probe after the update."""
        metrics: dict[str, float] = outputs["metrics"]
        if metrics["update"] % self.every_n_updates == 0:
            head = {name: metrics[name] for name in ("update", "env_steps", "return", "success_rate")}
            self.tables["retention"].extend([head | self.probe.measure().point()])


class Progress(pl.Callback):
    """One line per update: redrawn in place on a terminal, appended elsewhere."""

    def __init__(self, num_updates: int, shown: Sequence[str]) -> None:
        """shown: metrics of the algorithm that the line has."""
        self.num_updates, self.shown = num_updates, shown
        self._started, self._first = time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the time left."""
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the update."""
        metrics = outputs["metrics"]
        done = metrics["update"]
        left = (time.monotonic() - self._started) / (done - self._first) * (self.num_updates - done)
        parts = [
            f"update {done}/{self.num_updates}",
            f"steps {metrics['env_steps']:,}",
            f"return {metrics['return']:.3f}",
            f"success {metrics['success_rate']:.2f}",
            *(f"{name} {metrics[name]:.4f}" for name in self.shown),
            *([f"distinct {metrics['distinct_decisions']:.0f}"] if "distinct_decisions" in metrics else []),
            f"{metrics['steps_per_second']:.0f} steps/s",
            f"left {int(left) // 60}:{int(left) % 60:02d}",
        ]
        terminal = sys.stderr.isatty()
        end = "\n" if not terminal or done == self.num_updates else ""
        print(("\r\x1b[K" if terminal else "") + " | ".join(parts), end=end, file=sys.stderr, flush=True)
