"""Record episodes of a finished run's agent as a page of HTML, with what it made of each decision before and after training."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from rich.markup import escape

from twosome import build
from twosome.config import EvaluationConfig, own_settings
from twosome.errors import UserError, check_seed, unknown_choice, visible
from twosome.identity import task_of
from twosome.experiment.evaluate import changed, configuration, finished_run
from twosome.storage.folder import RunFolder
from twosome.terminal import Console

if TYPE_CHECKING:
    from twosome.evaluation.watch.stages import Stage
    from twosome.policies.agent import Agent

CHOICES = {"actor": ("trained", "untrained"), "compare": ("untrained", "none"), "policy": ("sampled", "greedy")}


@dataclass
class WatchConfig:
    """The options of conf/watch.yaml."""

    run: str | None
    to: str
    episodes: int
    policy: str
    actor: str
    compare: str
    evaluation: int
    seed: int | None
    device: str
    trust: bool
    env: dict[str, Any]

    def __post_init__(self) -> None:
        if not self.run:
            raise UserError("run=None: expected the folder of a finished run: run=<folder>")
        for option, choices in CHOICES.items():
            if getattr(self, option) not in choices:
                raise unknown_choice(option, getattr(self, option), choices)
        if self.actor == "untrained" and self.compare == "none":
            raise UserError("actor=untrained: expected compare=untrained with it; leave compare out")
        if not 1 <= self.episodes <= 100:
            raise UserError(f"episodes={self.episodes}: expected an integer from 1 to 100, all of which the page holds")
        if self.evaluation < 0:
            raise UserError(f"evaluation={self.evaluation}: expected 0 (none) or a number of episodes")
        if self.seed is not None:
            check_seed("seed", self.seed)


def run(asked: DictConfig) -> None:
    """Write the page and print a table. Raises UserError for bad input before a model is loaded."""
    if not OmegaConf.is_dict(asked.env):
        raise UserError(f"env={asked.env}: expected single options of the run's environment, as in env.task=...")
    options = own_settings(WatchConfig, asked)
    to = Path(options.to)
    folder = finished_run(Path(str(options.run)))
    config = configuration(folder, options)
    make_env = build.environment(config.env)
    from twosome.evaluation.watch import page  # these imports take seconds; the input is checked first

    check_place(to, page.is_page)
    from twosome.evaluation.video import can_film
    from twosome.evaluation.watch import recorder
    from twosome.evaluation.watch.stages import untrained

    draws = can_film(make_env)
    agent = build.agent(config, make_env)
    folder.load(agent)
    after = _trained(agent)
    before = untrained(agent, lambda: build.agent(config, make_env)) if options.compare == "untrained" else None
    if options.actor == "untrained" and before is None:
        raise UserError(f"actor=untrained: expected a run that trained something; {folder.path} trained nothing; leave it out")
    critic, facts = load_critic(folder, agent), about(folder, config)
    seed = config.evaluation.seed if options.seed is None else options.seed
    recording = recorder.play(
        before if before and options.actor == "untrained" else after,
        build.environment(config.env, render_mode="rgb_array") if draws else make_env,
        config.env.gamma,
        recorder.Asked(options.episodes, seed, options.policy == "greedy"),
        draws,
    )
    stages = [after, before] if before else [after]
    content = recorder.data(recording, stages, critic is not None)
    records = evaluations(stages, options.evaluation, config, changed(config.env, folder.config.env), seed, make_env)
    acted = {"trained": "after training", "untrained": "before training"}[options.actor]
    facts += [["actions", f"{options.policy}, {acted}"], ["critic", critic or "none: its value is not shown"]]
    shown = {"title": task_of(config.env).replace("_", " "), "facts": facts, "gamma": config.env.gamma, "actor": options.actor}
    page.write(to, {**shown, "optimum": optimum(make_env, config), **content})
    if records:
        from twosome.evaluation.summary import print_records

        print_records(records, config.seed)
    count = "1 episode" if options.episodes == 1 else f"{options.episodes} episodes"
    size = f"{to.stat().st_size / 1000:,.0f} kB"
    Console(soft_wrap=True, highlight=False).print(
        f"[bold]{escape(str(to))}[/bold]  [dim]{count}, {size}; open it in a browser[/dim]"
    )


def check_place(to: Path, is_page: Any) -> None:
    """Raise UserError if the page would replace something that is no page."""
    if to.is_dir() or (os.path.lexists(to) and not (to.is_file() and is_page(to))):
        raise UserError(
            f"to={to}: is there and is no page of this command; expected a file that is new, or such a page; name another"
        )


def _trained(agent: "Agent") -> "Stage":
    from twosome.evaluation.watch.stages import Stage

    return Stage("after", agent)


def evaluations(
    stages: "list[Stage]", episodes: int, config: DictConfig, changes: dict[str, Any], seed: int, make_env: Any
) -> list[dict[str, Any]]:
    """Evaluate each stage as `evaluate.py` does, the one before training first; the run's folder is not changed."""
    from twosome.evaluation import records

    found: list[dict[str, Any]] = []
    for stage in reversed(stages) if episodes else ():
        with stage.context():
            evaluation = EvaluationConfig(episodes, seed, False)
            found += records.evaluate(stage.agent, make_env, config.env, evaluation, stage.when, changes)
    return found


def load_critic(folder: RunFolder, agent: "Agent") -> str | None:
    """Load the critic's weights from the run's latest checkpoint; return which one in words, or None if there is no critic.

    Adapters and networks are exported without their critic, so a run's folder without checkpoints has none.
    """
    from twosome.policies.agent import LearningAgent

    metrics = folder.path / "metrics.csv"
    learned = metrics.is_file() and "value_loss" in metrics.open().readline().strip().split(",")
    files = folder.saved_updates
    if not (isinstance(agent, LearningAgent) and learned and files):
        return None
    import torch

    mine = {id(parameter) for parameter in agent.parameter_groups().get("value", [])}
    parameters = {name: parameter for name, parameter in agent.named_parameters() if id(parameter) in mine}
    for file in files:
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(state[f"agent.{name}"])
                for name, buffer in agent.named_buffers():  # a checkpoint holds those of value heads only
                    buffer.copy_(state.get(f"agent.{name}", buffer))
            return f"of update {int(file.stem.rpartition('=')[2])}"
        except Exception as error:  # a damaged file raises errors of many classes; the older one may be whole
            print(visible(f"note: {file}: cannot be read ({type(error).__name__}); the critic's value needs it"), file=sys.stderr)
    return None


def optimum(make_env: Any, config: DictConfig) -> float | None:
    """Return the environment's optimal discounted return, or None if it is not known."""
    from twosome.envs.optimum import optimal_return

    return optimal_return(make_env, config.env.gamma)


def about(folder: RunFolder, config: DictConfig) -> list[list[str]]:
    """Return facts about the run, as names and values."""
    from twosome.runs.card_parts import norm, trained_for

    provenance = folder.read_json("provenance.json", {})
    steps, _ = trained_for(folder)
    facts = {
        "model": provenance.get("model"),
        "method": provenance.get("method"),
        "norm": norm(config) if provenance.get("model") else None,
        "trained for": f"{steps:,} decisions" if steps else None,
        "seed": str(config.seed),
    }
    return [[name, value] for name, value in facts.items() if value]
