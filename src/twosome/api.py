"""The suite as functions: make an environment, run an experiment, evaluate a run, load its agent.

Options are written as on the command line, ``"norm=token"``, ``"env.kwargs.map=B"``. Each function does the same as its command:
progress on standard error, tables on standard output. Bad input raises UserError or Hydra's own errors. There are no sweeps.
"""

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import hydra
import numpy as np
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from twosome import build
from twosome.agents.agent import Agent, MakeEnv
from twosome.config import CONFIGS
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.evaluation import records
from twosome.experiment import evaluate as evaluation
from twosome.experiment.experiment import Experiment
from twosome.storage.folder import RunFolder


@dataclass(frozen=True)
class Run:
    """A finished run.

    folder: an absolute path; its files are listed in docs/run-folder.md.
    records: the entries of its evaluation.json, one per evaluation and mode, with the fields listed in docs/run-folder.md.
    score: the result of `run` is the sampled policy's mean discounted return in the run's own evaluation, or nan without one; the
        result of `evaluate` is the suite's main figure.
    """

    folder: Path
    records: list[dict[str, Any]]
    score: float


@dataclass(frozen=True)
class TrainedAgent:
    """The agent of a finished run.

    policy: the PyTorch module, in eval mode, on the requested device. make_env: makes the run's environment.
    """

    policy: Agent
    make_env: MakeEnv

    def probabilities(self, decision: Decision | str, actions: Sequence[str] = ()) -> np.ndarray:
        """Return the probabilities of a decision's A actions in their order, (A,), float32; they sum to 1.

        decision: an environment's (``Decision.from_step(obs, info)``), or an observation prompt. actions: the action prompts, for
        an observation prompt only. Raises UserError if there are no actions, if a text cannot be scored, and for an observation
        prompt if the agent reads symbolic observations.
        """
        if isinstance(decision, str):
            if isinstance(actions, str) or not actions:
                raise UserError(f"actions={actions!r}: expected a list of one action prompt or more")
            if self.policy.language_model is None:
                raise UserError("decision: expected a Decision; this agent reads symbolic observations")
            nothing = np.zeros(0, dtype=np.float32)
            decision = Decision(nothing, decision, tuple(range(len(actions))), tuple(actions))
        row: np.ndarray = self.policy.log_policy([decision])[0, : len(decision.action_ids)].exp().float().cpu().numpy()
        return row


def compose(name: str, overrides: Sequence[str], config_dir: str | Path | None = None) -> tuple[DictConfig, dict[str, Any]]:
    """Compose conf/<name>.yaml with overrides; return the configuration and the name chosen in each group.

    config_dir: a folder of the user's own like conf/, as the command line's ``--config-dir``.
    """
    own = [] if config_dir is None else [f"hydra.searchpath=[{json.dumps(f'file://{Path(config_dir).absolute()}')}]"]
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = hydra.compose(name, [*overrides, *own], return_hydra_config=True)
    if config.hydra.mode == RunMode.MULTIRUN:
        raise UserError(f"{' '.join(overrides)}: expected one run; a sweep is for the command line")
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices


def make_env(
    name: str = "overcooked", render_mode: str | None = None, config_dir: str | Path | None = None, **options: Any
) -> gymnasium.Env:
    """Make an environment, one of conf/env.

    render_mode: None, or "rgb_array" for ``render()``. config_dir: a folder of your own that has env/<name>.yaml. options: those
    of its YAML, such as ``task="tomato_salad"`` or ``kwargs={"map": "B"}``. Observations, rewards and info are specified in
    CONTRIBUTING.md. Raises UserError if the environment cannot be made with these values.
    """
    env = compose("config", [f"env={name}"], config_dir)[0].env
    return build.environment(OmegaConf.merge(env, options), render_mode)()  # type: ignore[arg-type]


def run(*overrides: str, folder: str | Path | None = None, config_dir: str | Path | None = None) -> Run:
    """Do the same as ``python src/run.py <overrides>``: train an agent, evaluate it before and after, write the run's folder.

    folder: of the run; None: outputs/<day>/<time>. As on the command line, the run is resumed if the folder holds the same run,
    unfinished. ``resume=<folder>`` resumes a run without other options. config_dir: a folder of your own like conf/, as the
    command's ``--config-dir``. Raises UserError and RunError.
    """
    config, choices = compose("config", overrides, config_dir)
    default = Path("outputs", f"{datetime.datetime.now():%Y-%m-%d/%H-%M-%S}")
    path = Path(config.resume or folder or default).absolute()
    score = Experiment(config, path, overrides, choices).run()
    return Run(path, records.read(RunFolder(path)), score)


def evaluate(folder: str | Path, *overrides: str) -> Run:
    """Do the same as ``python src/evaluate.py run=<folder> <overrides>``: evaluate a finished run; add to the run's records.

    overrides: such as "episodes=20", "env.task=lettuce_salad", "suite=unseen". Raises UserError if the folder holds no finished
    run, if its weights do not match their recorded checksums, if its configuration names code from outside of the suite
    ("trust=true" allows that), and for bad options.
    """
    config = _evaluation(folder, overrides)
    score = evaluation.run(config)
    return Run(Path(folder).absolute(), records.read(RunFolder(Path(folder))), score)


def load_agent(folder: str | Path, *overrides: str) -> TrainedAgent:
    """Load the agent of a finished run.

    overrides: those of `evaluate` that concern the agent and its environment: "device=cpu", "trust=true",
    "env.task=lettuce_salad". Raises UserError as `evaluate` does.
    """
    found = evaluation.finished(_evaluation(folder, overrides))
    found.folder.load(found.agent)
    found.agent.eval()
    found.agent.begin_rollout()
    return TrainedAgent(found.agent, found.make_env)


def _evaluation(folder: str | Path, overrides: Sequence[str]) -> DictConfig:
    config, _ = compose("evaluate", overrides)
    config.run = str(folder)
    return config
