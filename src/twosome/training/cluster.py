"""What a cluster's scheduler and Lightning have to do with each other: the processes of a job, and no signals.

Who queued the job (submitit) has handlers for the signals that SLURM sends: SIGUSR2 before a job's end queues it again, SIGTERM
is followed by that or by SLURM's own requeueing and is not to end the run. Lightning would add its own on top.
"""

import os
import signal

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment


def cluster_plugins() -> list[ClusterEnvironment]:
    """For Lightning's Trainer: SLURM's processes are its ranks, and SLURM's signals are not its business."""
    return [SLURMEnvironment(auto_requeue=False)] if "SLURM_NTASKS" in os.environ and SLURMEnvironment.detect() else []


class KeepSigterm(pl.Callback):
    """Gives a handler of SIGTERM that was there before Lightning's its place back; Lightning ends training after the signal."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has just installed its own."""
        if callable(self.handler):
            signal.signal(signal.SIGTERM, self.handler)
