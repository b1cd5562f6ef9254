"""The part of a run in which its agent learns: Lightning, what it reports to, and the learning curve."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from pytorch_lightning.loggers import Logger

from twosome.algorithms.runner import EnvRunner
from twosome.envs.optimum import optimal_return
from twosome.envs.vector import DecisionEnvs
from twosome.evaluation.figures import learning_curve
from twosome.evaluation.retention.drift import DriftProbe
from twosome.policies.agent import LearningAgent
from twosome.training.callbacks import Forgetting, Progress, Recorder
from twosome.training.checkpoints import keep_two, latest, remove_older
from twosome.training.cluster import KeepSigterm
from twosome.training.config import FIXED
from twosome.training.job import Job
from twosome.training.module import LearningModule
from twosome.training.shared import SharedEnvs
from twosome.training.strategies import SameWeights, trainer_options


def learn(job: Job, agent: LearningAgent, probe: DriftProbe | None) -> None:
    """Evaluate, train from the last checkpoint or from the start, and draw the learning curve."""
    job.algorithm.check(agent)
    checkpoint = latest(job.folder)
    if checkpoint is None:
        job.evaluate(agent, "before")
    _train(job, agent, probe, checkpoint)
    optimum = optimal_return(job.make_env, job.config.env.gamma)
    learning_curve(job.folder, job.config, job.folder.path / "learning_curve.png", optimum)


def _train(job: Job, agent: LearningAgent, probe: DriftProbe | None, checkpoint: Path | None) -> None:
    algorithm, generator = job.algorithm, torch.Generator().manual_seed(job.settings.seed)
    num_updates = -(-job.settings.total_steps // algorithm.batch_size)
    sizes = (algorithm.num_envs, job.config.env.gamma)
    envs = SharedEnvs(job.make_env, *sizes, job.team) if job.team else DecisionEnvs(job.make_env, *sizes)
    callbacks = [
        KeepSigterm(),
        Recorder(job.folder),
        Progress(num_updates, algorithm.shown),
        keep_two(job.folder, job.settings.checkpoint_every),
    ]
    if probe and job.retention.every:
        callbacks.append(Forgetting(job.folder, probe, job.retention.every))
    if job.team:
        callbacks.append(SameWeights(job.team))
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # no advertisements between the lines of progress
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")  # advice on data loaders, and on srun
        trainer = pl.Trainer(
            **trainer_options(job.config.trainer, job.team),
            **FIXED,
            max_epochs=num_updates,
            callbacks=callbacks,
            logger=_loggers(job),
        )
        module = LearningModule(agent, EnvRunner(envs, job.settings.seed), algorithm, num_updates, generator)
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    remove_older(job.folder)
    envs.close()


def _loggers(job: Job) -> list[Logger]:
    """Lightning's loggers, writing into the run's folder."""
    return [instantiate(logger, save_dir=str(job.folder.path)) for logger in job.config.logger.values()]
