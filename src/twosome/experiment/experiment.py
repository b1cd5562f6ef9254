"""A run: the order in which an agent is trained, evaluated and written to the run's folder."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from twosome import build
from twosome.agents.agent import Agent, LearningAgent
from twosome.algorithms.algorithm import Sources
from twosome.config import EvaluationConfig, RetentionConfig, RunConfig, own_settings, typed
from twosome.errors import UserError, check
from twosome.evaluation import records
from twosome.evaluation.figures import learning_curve
from twosome.evaluation.film import can_film, record
from twosome.evaluation.retention import drift as retained
from twosome.evaluation.retention.drift import DriftProbe, unmeasured
from twosome.evaluation.summary import print_summary
from twosome.experiment.resume import check_foreign, fingerprint, finished_run, resumed_config, same_config
from twosome.identity import identity
from twosome.storage.folder import CHECKSUMS, RunFolder, locked
from twosome.storage.provenance import now, provenance
from twosome.training.callbacks import latest
from twosome.training.distributed import Processes, process_group
from twosome.training.fit import Fit
from twosome.training.sharded import load_sharded_engine


class Experiment:
    """A run of one configuration in one folder.

    config: a composition of conf/config.yaml. folder: of the run: new, empty, or that of the same run, unfinished, which is
    resumed. overrides, choices: the words of the command line and the name chosen in each group, which the folder records.
    """

    def __init__(
        self, config: DictConfig, folder: Path, overrides: Sequence[str] = (), choices: Mapping[str, Any] | None = None
    ) -> None:
        self.config, self.folder = config, RunFolder(folder.absolute())
        self.overrides, self.choices = list(overrides), dict(choices or {})
        self.processes: Processes | None = None

    def run(self) -> float:
        """Train, evaluate and export an agent, or resume the run.

        Returns the sampled policy's mean discounted return at the end (nan without an evaluation). Raises UserError.
        """
        if self.config.resume is not None:
            self.config = resumed_config(self.config, self.folder, self.overrides)
        elif self.folder.started:
            self.config = same_config(self.config, self.folder)
        if self.folder.done:
            print(f"{self.folder.path}: finished already", file=sys.stderr)
            return self.score()
        with process_group(self.config.trainer) as self.processes:
            if self.processes is None:
                self.run_in_folder()
            else:
                self.run_as_rank(self.processes)
        return self.score()

    def run_in_folder(self) -> None:
        """Do the run while no other process works in its folder."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        if not self.folder.started:
            self.folder.check_new()
        with locked(self.folder.path):
            self.execute()

    def run_as_rank(self, processes: Processes) -> None:
        """Do the run as one of several processes. Only rank 0 writes the run's folder and prints."""
        self.config, path = processes.broadcast_object((self.config, self.folder.path))
        if processes.rank == 0:
            self.run_in_folder()
            return
        with tempfile.TemporaryDirectory(prefix="twosome-") as scratch, _quiet():
            self.folder, self.choices = RunFolder(Path(scratch)), {}
            self.folder.checkpoints.symlink_to(path / self.folder.checkpoints.name, target_is_directory=True)
            self.execute()

    def execute(self) -> None:
        """Build all parts; train the agent if it learns, export and evaluate it, and mark the folder as finished."""
        OmegaConf.resolve(self.config)
        self.settings = own_settings(RunConfig, self.config)
        self.evaluation = typed(EvaluationConfig, self.config.evaluation, "evaluation")
        self.retention = typed(RetentionConfig, self.config.retention, "retention")
        self.make_env = build.environment(self.config.env)
        self.algorithm = build.algorithm(self.config)
        self.agent = self.built_agent()
        if not self.folder.started and self.choices:
            self.folder.start(self.config, self.overrides, self.choices)
        self.folder.check_model(self.agent)
        own, learns = self.agent.provenance(), isinstance(self.agent, LearningAgent)
        choices = self.folder.read_json("choices.json", default={})  # ranks other than 0 have none
        named = identity(self.config, choices, bool(own.get("model"))) if choices else {}
        acting = {"actor": self.algorithm.actor} if learns else {}
        self.folder.write_json("provenance.json", named | acting | self.origin() | provenance(self.config.seed, own))
        self.agent.prepare()
        probe = self.drift_probe()
        if isinstance(self.agent, LearningAgent):
            self.learn(self.agent, probe)
        self.folder.export(self.agent)
        self.evaluate("after")
        if probe and self.retention.drift:
            retained.write_own(retained.measured(probe), self.folder)
        self.film()
        ended = {**self.agent.provenance(), CHECKSUMS: self.folder.checksums(self.agent), "finished": now()}
        self.folder.write_json("provenance.json", self.folder.read_json("provenance.json", default={}) | ended)
        self.folder.finish()
        print_summary(self.folder, self.config)

    def built_agent(self) -> Agent:
        """Return the agent; with trainer=fsdp its language model is sharded over the ranks. Raises UserError."""
        self.algorithm.prepare(Sources(self.make_env, self.config.env.gamma, self.demonstrator))
        if self.processes is None:
            agent = build.agent(self.config, self.make_env)
        else:
            agent = build.agent(self.config, self.make_env, partial(load_sharded_engine, processes=self.processes))
        if isinstance(agent, LearningAgent):
            if agent.recurrence > 1 and not self.algorithm.recurrent:
                raise UserError(f"algorithm: {type(self.algorithm).__name__} trains no agent with memory, expected ppo")
            self.algorithm.check(agent)
        if self.settings.init is not None:
            check(isinstance(agent, LearningAgent), "init", self.settings.init, "null for a baseline that does not learn")
            if latest(self.folder) is None:
                finished_run(self.settings.init, "init").load(agent)
        return agent

    def demonstrator(self, path: str, option: str) -> Agent:
        """Return the trained agent of a finished run, for the environments of this one, with this one's device and trust.

        path: the run's folder, the value of option. Raises UserError, also if the folder's configuration names code that neither
        a file of ``conf/`` nor this run's configuration names.
        """
        folder = finished_run(path, option)
        config = folder.config
        check_foreign(config, self.config.trust, self.config)
        config.model.device, config.trainer.accelerator = self.config.model.device, self.config.trainer.accelerator
        agent = build.agent(config, self.make_env)
        folder.load(agent)
        return agent

    def origin(self) -> dict[str, Any]:
        """Return the entry of provenance.json that names the run of init; {} without init. A resumed run keeps its own."""
        if self.settings.init is None:
            return {}
        recorded = self.folder.read_json("provenance.json", default={}).get("init")
        if recorded and latest(self.folder):
            return {"init": recorded}
        source = finished_run(self.settings.init, "init")
        its_own = source.read_json("provenance.json", {})
        names = ("task", "method", "label", "seed", "git_commit", CHECKSUMS)
        return {"init": {"run": str(source.path.absolute()), **{name: its_own.get(name) for name in names}}}

    def learn(self, agent: LearningAgent, probe: DriftProbe | None) -> None:
        """Evaluate before training, train from the last checkpoint or the start, and draw the learning curve."""
        own = fingerprint(self.config, "trainer")  # with which a run may go on elsewhere
        fit = Fit(self.config, self.settings, self.folder, self.make_env, own, self.processes)
        if probe and self.retention.every:
            fit.probe(probe, self.retention.every)
        checkpoint = latest(self.folder)
        if checkpoint is None:
            self.evaluate("before")
            agent.counters()  # what was counted so far is not training's
        fit.run(agent, self.algorithm, checkpoint)
        optimum = build.optimum(self.config.env, self.make_env)
        learning_curve(self.folder, self.config, self.folder.path / "learning_curve.png", optimum, self.algorithm.actor)

    def drift_probe(self) -> DriftProbe | None:
        """Return the drift probe of the agent's language model; None if it trains none or the configuration requests no probe."""
        model = self.agent.language_model
        if model is None or not model.learned() or not (self.retention.drift or self.retention.every):
            return None
        if reason := unmeasured(model):
            print(f"note: retention.drift=true: {reason}; there is no drift probe", file=sys.stderr)
            return None
        return DriftProbe(model, self.retention.limit)

    def evaluate(self, when: str) -> None:
        """Evaluate if the configuration requests it. when: "before" or "after" training."""
        if self.evaluation.episodes:
            found = records.evaluate(self.agent, self.make_env, self.config.env, self.evaluation, when)
            records.write_own(self.folder, found)

    def film(self) -> None:
        """Film one episode if the configuration requests it and the environment can be rendered."""
        if self.evaluation.gif and can_film(self.make_env):
            rgb = build.environment(self.config.env, render_mode="rgb_array")
            record(self.agent, rgb, self.folder.path / "episode.gif", self.config.env.gamma, self.evaluation.seed)

    def score(self) -> float:
        """Return the sampled policy's mean discounted return at the end, by the run's own evaluation; nan without one."""
        return records.own_return(self.folder, self.config.env)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Print nothing within the context."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
