"""Train an agent with Lightning: the trainer, its callbacks and loggers."""

import logging
import warnings
from pathlib import Path

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig

from twosome import generators
from twosome.agents.agent import LearningAgent, MakeEnv
from twosome.algorithms.algorithm import Algorithm, EnvRunner
from twosome.config import RunConfig
from twosome.envs.vector import DecisionEnvs
from twosome.evaluation.retention.drift import DriftProbe
from twosome.storage.folder import RunFolder
from twosome.training.callbacks import KeepSigterm, KeepTwo, Progress, Recorder, RetentionWriter
from twosome.training.distributed import Processes, SameWeights, trainer_options
from twosome.training.module import LearningModule
from twosome.training.sharded import ShardedEnvs


class Fit:
    """The training of a run by Lightning.

    config: the run's configuration, of which env.gamma, trainer and logger are read. fingerprint: the run's, for its checkpoints.
    processes: the process group, or None for one process.
    """

    def __init__(
        self,
        config: DictConfig,
        settings: RunConfig,
        folder: RunFolder,
        make_env: MakeEnv,
        fingerprint: str,
        processes: Processes | None = None,
    ) -> None:
        self.config, self.settings, self.folder, self.make_env, self.processes = config, settings, folder, make_env, processes
        self.fingerprint = fingerprint
        self.callbacks: list[pl.Callback] = [KeepSigterm(), Recorder(folder), KeepTwo(folder, settings.checkpoint_every)]
        if processes:
            self.callbacks.append(SameWeights(processes))

    def probe(self, probe: DriftProbe, every_n_updates: int) -> None:
        """Add measurements of the language model's drift from its base, one per every_n_updates."""
        self.callbacks.append(RetentionWriter(self.folder, probe, every_n_updates))

    def run(self, agent: LearningAgent, algorithm: Algorithm, checkpoint: Path | None) -> None:
        """Train until total_steps, from a checkpoint or, if it is None, from the start."""
        seed, num_updates = self.settings.seed, -(-self.settings.total_steps // algorithm.batch_size)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # no tips between the lines of progress
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")  # advice on data loaders, and on srun
            trainer = pl.Trainer(
                **trainer_options(self.config.trainer, self.processes),
                max_epochs=num_updates,
                callbacks=[*self.callbacks, Progress(num_updates, algorithm.progress_metrics, algorithm.actor)],
                logger=[instantiate(logger, save_dir=str(self.folder.path)) for logger in self.config.logger.values()],
            )
            envs = self._envs(algorithm.num_envs)
            generator = generators.of_stream(seed, "learning")
            runner = EnvRunner(envs, seed, algorithm.group_size)
            module = LearningModule(agent, runner, algorithm, num_updates, generator, self.fingerprint)
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
        envs.close()

    def _envs(self, num_envs: int) -> DecisionEnvs:
        options = (self.make_env, num_envs, self.config.env.gamma)
        return ShardedEnvs(*options, self.processes) if self.processes else DecisionEnvs(*options)
