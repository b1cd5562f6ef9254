"""Lightning under SLURM: it takes its ranks from SLURM's variables and leaves signals alone.

In a job of submitit's, submitit handles SLURM's signals. SIGUSR2, before the job's end, queues the job again. SIGTERM is ignored:
SIGUSR2 or SLURM's own requeueing follows. Elsewhere SIGTERM ends a run at once (`twosome.signals`). Lightning would install its
own handler of SIGTERM, which ends training only after the current update.
"""

import os
import signal

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment


def cluster_plugins() -> list[ClusterEnvironment]:
    """Return the plugin with which Lightning uses SLURM's ranks and does not handle its signals; none outside of SLURM."""
    return [SLURMEnvironment(auto_requeue=False)] if "SLURM_NTASKS" in os.environ and SLURMEnvironment.detect() else []


class KeepSigterm(pl.Callback):
    """Restore the handler of SIGTERM (or that it is ignored) that Lightning replaces when training starts."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the handler: Lightning has just installed its own."""
        if self.handler not in (None, signal.SIG_DFL):
            signal.signal(signal.SIGTERM, self.handler)
