"""A checked run: what is trained, evaluated and written, in which order."""

import logging
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from twosome import experiment
from twosome.config import EvaluationConfig, RetentionConfig, RunConfig, check_groups, check_targets, typed
from twosome.envs.optimum import optimal_return
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.evaluation.figures import learning_curve
from twosome.evaluation.report import evaluate, of_setting, print_summary, setting_of
from twosome.evaluation.retention.drift import DriftProbe
from twosome.evaluation.retention.report import record_drift
from twosome.evaluation.video import can_film, record
from twosome.language.scorer import load_scorer
from twosome.policies.agent import Agent, LearningAgent
from twosome.ppo.config import PPOConfig
from twosome.training.callbacks import Forgetting, Progress, Recorder
from twosome.training.checkpoints import keep_two, latest
from twosome.training.cluster import KeepSigterm
from twosome.training.module import PPOModule
from twosome.training.provenance import now, provenance
from twosome.training.runfolder import CHECKSUMS, RunFolder
from twosome.training.shared import SharedEnvs, load_shared_scorer
from twosome.training.strategies import FSDPConfig, SameWeights, fsdp_config, trainer_options
from twosome.training.team import Team


@dataclass(frozen=True)
class Job:
    """A run whose configuration was found good."""

    config: DictConfig
    folder: RunFolder
    settings: RunConfig
    ppo: PPOConfig
    evaluation: EvaluationConfig
    retention: RetentionConfig
    make_env: experiment.MakeEnv
    fsdp: FSDPConfig | None
    team: Team | None = None  # the processes that share the run

    @classmethod
    def checked(cls, config: DictConfig, folder: RunFolder) -> "Job":
        """Check everything that can be checked without loading a model; raises UserError."""
        check_groups(config, ("env", "norm", "ppo", "baseline", "model", "trainer", "logger", "evaluation", "retention"))
        OmegaConf.resolve(config)
        settings = typed(RunConfig, OmegaConf.masked_copy(config, ["seed", "total_steps", "checkpoint_every"]), "")
        ppo = typed(PPOConfig, config.ppo, "ppo")
        evaluation = typed(EvaluationConfig, config.evaluation, "evaluation")
        retention = typed(RetentionConfig, config.retention, "retention")
        fsdp = fsdp_config(config.trainer)
        if fsdp and fsdp.world_size > ppo.num_envs:
            raise UserError(
                f"trainer.devices={fsdp.devices} trainer.num_nodes={fsdp.num_nodes}: expected at most "
                f"ppo.num_envs={ppo.num_envs} processes, an environment each; change one of them"
            )
        experiment.model_config(config.model, config.trainer.accelerator)
        for group in ("baseline", "norm", "logger"):
            check_targets(config[group], group)
        return cls(config, folder, settings, ppo, evaluation, retention, experiment.environment(config.env), fsdp)

    def agent(self) -> Agent:
        """The agent, over a language model that the team shares, if there is one."""
        load = partial(load_shared_scorer, team=self.team) if self.team else load_scorer
        return experiment.agent(self.config, self.make_env, load)

    def execute(self, agent: Agent) -> None:
        """Train an agent that learns, export, evaluate; then mark the folder as finished."""
        self.folder.check_model(agent)
        self.folder.write_json("provenance.json", provenance(self.config, agent))
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # no advertisements between the lines of progress
        agent.prepare()
        probe = self.drift_probe(agent)
        if isinstance(agent, LearningAgent):
            self.learn(agent, probe)
        self.folder.export(agent)
        self.evaluate(agent, "after")
        if probe and self.retention.drift:
            record_drift(probe, self.folder)
        self.film(agent)
        ended = {**agent.provenance(), CHECKSUMS: self.folder.checksums(agent), "finished": now()}
        self.folder.write_json("provenance.json", self.folder.read_json("provenance.json", default={}) | ended)
        self.folder.finish()
        print_summary(self.folder, self.config)

    def learn(self, agent: LearningAgent, probe: DriftProbe | None) -> None:
        """Evaluate, train and draw the learning curve."""
        checkpoint = latest(self.folder)
        if checkpoint is None:
            self.evaluate(agent, "before")
        self.train(agent, probe, checkpoint)
        optimum = optimal_return(self.make_env, self.config.env.gamma)
        learning_curve(self.folder, self.config, self.folder.path / "learning_curve.png", optimum)

    def drift_probe(self, agent: Agent) -> DriftProbe | None:
        """What measures the agent's language model, where it trains one and the configuration asks for it."""
        if agent.language_model is None or not (self.retention.drift or self.retention.every):
            return None
        return DriftProbe(agent.language_model, self.retention.limit)

    def train(self, agent: LearningAgent, probe: DriftProbe | None, checkpoint: Path | None) -> None:
        """Fit from a checkpoint, or from the start."""
        num_updates = -(-self.settings.total_steps // self.ppo.batch_size)
        num_envs = self.ppo.num_envs
        envs = SharedEnvs(self.make_env, num_envs, self.team) if self.team else DecisionEnvs(self.make_env, num_envs)
        module = PPOModule(agent, envs, self.ppo, num_updates, self.settings.seed)
        callbacks = [
            KeepSigterm(),
            Recorder(self.folder),
            Progress(num_updates),
            keep_two(self.folder, self.settings.checkpoint_every),
        ]
        if probe and self.retention.every:
            callbacks.append(Forgetting(self.folder, probe, self.retention.every))
        if self.team:
            callbacks.append(SameWeights(self.team))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")  # advice on data loaders, and on srun
            trainer = pl.Trainer(
                **trainer_options(self.config.trainer, self.team),
                max_epochs=num_updates,
                deterministic=True,
                callbacks=callbacks,
                logger=self.loggers(),
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
        envs.close()

    def loggers(self) -> list[Logger]:
        """Lightning's loggers, writing into the run's folder."""
        return [instantiate(logger, save_dir=str(self.folder.path)) for logger in self.config.logger.values()]

    def evaluate(self, agent: Agent, when: str) -> None:
        """Evaluate if the configuration asks for it."""
        if self.evaluation.episodes:
            evaluate(agent, self.make_env, self.folder, self.config.env, self.evaluation, when)

    def film(self, agent: Agent) -> None:
        """Film one episode if the configuration asks for it."""
        if self.evaluation.gif and can_film(self.make_env):
            make_env_rgb = experiment.environment(self.config.env, render_mode="rgb_array")
            record(agent, make_env_rgb, self.folder.path / "episode.gif", self.config.env.gamma, self.evaluation.seed)

    def score(self) -> float:
        """The sampled policy's mean discounted return at the end of the run."""
        records = of_setting(self.folder.read_json("evaluation.json", default=[]), setting_of(self.config.env))
        after = [record for record in records if record["when"] == "after" and record["mode"] == "sampled"]
        return float(after[-1]["return_mean"]) if after else float("nan")
