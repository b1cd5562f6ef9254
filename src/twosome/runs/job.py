"""A checked run: the order in which it is trained, evaluated and written.

PyTorch and the libraries that use it take seconds to import. They are imported in functions, after the options are checked.
"""

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from twosome import parts
from twosome.config import EvaluationConfig, RetentionConfig, RunConfig, check_groups, own_settings, resolve, typed
from twosome.distributed.config import FSDPConfig, fsdp_config
from twosome.errors import UserError
from twosome.identity import identity
from twosome.language.config import check_path
from twosome.policies.agent import MakeEnv
from twosome.runs.loggers import check_loggers
from twosome.runs.resume import fingerprint
from twosome.runs.trust import check_places
from twosome.storage.folder import CHECKSUMS, RunFolder

if TYPE_CHECKING:
    from twosome.algorithms.algorithm import Algorithm
    from twosome.distributed.processes import Processes
    from twosome.evaluation.retention.drift import DriftProbe
    from twosome.policies.agent import Agent, LearningAgent


@dataclass(frozen=True)
class Job:
    """A run with a valid configuration."""

    config: DictConfig
    folder: RunFolder
    settings: RunConfig
    algorithm: "Algorithm"
    evaluation: EvaluationConfig
    retention: RetentionConfig
    make_env: MakeEnv
    fsdp: FSDPConfig | None
    chosen: dict[str, Any]  # the parts that only some agents use
    processes: "Processes | None" = None  # the process group with trainer=fsdp

    @classmethod
    def checked(cls, config: DictConfig, folder: RunFolder) -> "Job":
        """Check everything that can be checked without loading a model; raise UserError."""
        check_groups(config, ("env", "norm", "algorithm", "baseline", "model", "trainer", "logger", "evaluation", "retention"))
        resolve(config)
        check_places(config)
        parts.normalization(config.norm)
        settings = own_settings(RunConfig, config)
        evaluation = typed(EvaluationConfig, config.evaluation, "evaluation")
        retention = typed(RetentionConfig, config.retention, "retention")
        fsdp = fsdp_config(config.trainer)
        model = parts.model_config(config.model, config.trainer.accelerator)
        if "engine" in config:  # otherwise the run has no language model, and the path is not used
            check_path(model)
        make_env = parts.environment(config.env)
        algorithm = parts.algorithm(config)
        if fsdp and fsdp.world_size > algorithm.num_envs:
            option = f"{config.algorithm.get('options', 'algorithm')}.num_envs"
            raise UserError(
                f"trainer.devices={fsdp.devices} trainer.num_nodes={fsdp.num_nodes}: expected at most "
                f"{option}={algorithm.num_envs} processes, an environment each; change one of them"
            )
        chosen = parts.agent_parts(config)
        check_loggers(config.logger)
        return cls(config, folder, settings, algorithm, evaluation, retention, make_env, fsdp, chosen)

    def agent(self) -> "Agent":
        """Return the agent; with trainer=fsdp its language model is sharded over the ranks. Raises UserError."""
        from twosome.algorithms.algorithm import Sources
        from twosome.policies.agent import LearningAgent
        from twosome.runs.trained import load_agent

        loading_others = partial(load_agent, config=self.config, make_env=self.make_env)
        self.algorithm.prepare(Sources(self.make_env, self.config.env.gamma, loading_others))
        if self.processes is None:
            agent = parts.agent(self.config, self.make_env, chosen=self.chosen)
            self.check_retention(agent)
        else:
            from twosome.distributed.sharded import load_sharded_engine

            loading = partial(load_sharded_engine, processes=self.processes)
            agent = parts.agent(self.config, self.make_env, loading, self.chosen)
        if isinstance(agent, LearningAgent):
            if agent.recurrence > 1 and not self.algorithm.recurrent:
                name = type(self.algorithm).__name__
                raise UserError(f"algorithm: {name} trains no agent with memory; choose algorithm=ppo, or baseline.network=null")
            self.algorithm.check(agent)
        if self.settings.init is not None:
            self.start_from(agent, self.settings.init)
        return agent

    def start_from(self, agent: "Agent", init: str) -> None:
        """Load the weights of the run init into the agent, unless the run has begun to learn. Raises UserError."""
        from twosome.policies.agent import LearningAgent
        from twosome.runs.trained import load_weights
        from twosome.storage.checkpoints import latest

        if not isinstance(agent, LearningAgent):
            raise UserError(f"init={init}: expected null for a baseline that does not learn; leave it out")
        if latest(self.folder) is None:
            load_weights(init, agent)

    def origin(self) -> dict[str, Any]:
        """Return the entry of provenance.json that names the run of init, {} without init; a resumed run keeps its own."""
        from twosome.runs.trained import origin
        from twosome.storage.checkpoints import latest

        if self.settings.init is None:
            return {}
        recorded = self.folder.read_json("provenance.json", default={}).get("init")
        return {"init": recorded if recorded and latest(self.folder) else origin(self.settings.init)}

    def execute(self, agent: "Agent") -> None:
        """Train the agent if it learns, export and evaluate it, and mark the folder as finished."""
        from twosome.evaluation.retention import report as retained
        from twosome.evaluation.summary import print_summary
        from twosome.policies.agent import LearningAgent
        from twosome.storage.provenance import now, provenance

        self.folder.check_model(agent)
        own, choices = agent.provenance(), self.folder.read_json("choices.json", default={})
        # Ranks other than 0 have no choices, and their folder is temporary.
        named = identity(self.config, choices, bool(own.get("model"))) if choices else {}
        acting = {"actor": self.algorithm.actor} if isinstance(agent, LearningAgent) else {}
        self.folder.write_json("provenance.json", named | acting | self.origin() | provenance(self.config.seed, own))
        agent.prepare()
        probe = self.drift_probe(agent)
        if isinstance(agent, LearningAgent):
            self.learn(agent, probe)
        self.folder.export(agent)
        self.evaluate(agent, "after")
        if probe and self.retention.drift:
            retained.write_own(retained.measured(probe), self.folder)
        self.film(agent)
        ended = {**agent.provenance(), CHECKSUMS: self.folder.checksums(agent), "finished": now()}
        self.folder.write_json("provenance.json", self.folder.read_json("provenance.json", default={}) | ended)
        self.folder.finish()
        print_summary(self.folder, self.config)

    def learn(self, agent: "LearningAgent", probe: "DriftProbe | None") -> None:
        """Evaluate before training, train from the last checkpoint or the start, and draw the learning curve."""
        from twosome.envs.optimum import optimal_return
        from twosome.evaluation.figures import learning_curve
        from twosome.storage.checkpoints import latest
        from twosome.training.fit import Fit

        checkpoint = latest(self.folder)
        if checkpoint is None:
            self.evaluate(agent, "before")
            agent.counters()  # what was counted so far is not training's
        own = fingerprint(self.config, "trainer")  # with which a run may go on elsewhere
        fit = Fit(self.config, self.settings, self.folder, self.make_env, own, self.processes)
        if probe and self.retention.every:
            fit.probe(probe, self.retention.every)
        fit.run(agent, self.algorithm, checkpoint)
        optimum = optimal_return(self.make_env, self.config.env.gamma)
        learning_curve(self.folder, self.config, self.folder.path / "learning_curve.png", optimum, self.algorithm.actor)

    def check_retention(self, agent: "Agent") -> None:
        """Raise UserError if the configuration requests a forgetting curve of a model that has none."""
        from twosome.evaluation.retention.drift import unmeasured

        model = agent.language_model
        if model is not None and self.retention.every and (reason := unmeasured(model)):
            raise UserError(f"retention.every={self.retention.every}: {reason}; set retention.every=0")

    def drift_probe(self, agent: "Agent") -> "DriftProbe | None":
        """Return the drift probe of the agent's language model; None if it trains none or the configuration requests no probe."""
        model = agent.language_model
        if model is None or not model.learned() or not (self.retention.drift or self.retention.every):
            return None
        from twosome.evaluation.retention.drift import DriftProbe, unmeasured

        if reason := unmeasured(model):
            print(f"note: retention.drift=true: {reason}; there is no drift probe", file=sys.stderr)
            return None
        return DriftProbe(model, self.retention.limit)

    def evaluate(self, agent: "Agent", when: str) -> None:
        """Evaluate if the configuration requests it. when: "before" or "after" training."""
        from twosome.evaluation.records import evaluate, write_own

        if self.evaluation.episodes:
            write_own(self.folder, evaluate(agent, self.make_env, self.config.env, self.evaluation, when))

    def film(self, agent: "Agent") -> None:
        """Film one episode if the configuration requests it and the environment can be rendered."""
        from twosome.evaluation.video import can_film, record

        if self.evaluation.gif and can_film(self.make_env):
            make_env_rgb = parts.environment(self.config.env, render_mode="rgb_array")
            record(agent, make_env_rgb, self.folder.path / "episode.gif", self.config.env.gamma, self.evaluation.seed)

    def score(self) -> float:
        """Return the sampled policy's mean discounted return at the end, by the run's own evaluation; nan without one."""
        from twosome.evaluation.records import own_return

        return own_return(self.folder, self.config.env)
