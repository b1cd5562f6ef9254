"""What a cluster's scheduler and Lightning have to do with each other: the processes of a job, and no signals.

Who queued the job (submitit) has handlers for the signals that SLURM sends: SIGUSR2 before a job's end queues it again, SIGTERM
is followed by that or by SLURM's own requeueing and is not to end the run. Elsewhere SIGTERM ends a run at once
(`twosome.signals`). Lightning would add its own on top, which ends training only after the update under way.
"""

import os
import signal

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment


def cluster_plugins() -> list[ClusterEnvironment]:
    """For Lightning's Trainer: SLURM's processes are its ranks, and SLURM's signals are not its business."""
    return [SLURMEnvironment(auto_requeue=False)] if "SLURM_NTASKS" in os.environ and SLURMEnvironment.detect() else []


class KeepSigterm(pl.Callback):
    """Gives what SIGTERM did before Lightning's handler its place back: another handler, or that it is ignored."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has just installed its own."""
        if self.handler not in (None, signal.SIG_DFL):
            signal.signal(signal.SIGTERM, self.handler)
