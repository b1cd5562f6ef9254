"""Let a person choose the actions in the terminal, beside a language model or the agent of a finished run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from twosome import parts
from twosome.config import own_settings, resolve
from twosome.errors import UserError, check_seed
from twosome.language.config import check_path
from twosome.policies.agent import MakeEnv
from twosome.runs.evaluate import configuration, finished_run

if TYPE_CHECKING:
    from torch import Tensor

    from twosome.decision import Decision


@dataclass
class PlayConfig:
    """The options of conf/play.yaml, besides its groups."""

    run: str | None
    seed: int
    trust: bool

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)


@dataclass
class Beside:
    """How the run's agent is loaded (`runs.evaluate.OfRun`). env: the options that the command line replaces."""

    trust: bool
    env: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"


Advice = tuple[Callable[["Decision"], "Tensor"], Callable[["Decision"], Any]]
"""A function that returns the log-policy of a decision, (its actions,), and one that returns the next decision's memory."""


def run(asked: DictConfig) -> None:
    """Play one episode. Raises UserError for bad input before a model is loaded."""
    resolve(asked)
    options = own_settings(PlayConfig, asked)
    words = [str(word) for word in HydraConfig.get().overrides.task] if HydraConfig.initialized() else []
    loaded = trained(options, asked, words) if options.run else untrained(asked)
    env, make_env, name, load = loaded
    from twosome.envs.optimum import optimal_return
    from twosome.evaluation.game import Game  # these imports take seconds; the input is checked first

    Game(make_env, env.gamma, options.seed, name, *load(), optimal_return(make_env, env.gamma)).play()


Loaded = tuple[DictConfig, MakeEnv, str, Callable[[], Advice]]
"""The environment's configuration, what makes it, the model's name, and a function that loads the model."""


def trained(options: PlayConfig, asked: DictConfig, words: list[str]) -> Loaded:
    """Return a run's environment and agent. words: of the command line. Raises UserError."""
    own: dict[str, Any] = {}
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if key.partition(".")[0] in ("env", "norm", "model") and not key.startswith("env."):
            raise UserError(f"{word}: expected none with run={options.run}, which has its own; leave it out")
        if key.startswith("env."):
            OmegaConf.update(tree := OmegaConf.create(own), key.partition(".")[2], OmegaConf.select(asked, key))
            own = OmegaConf.to_container(tree)  # type: ignore[assignment]
    folder = finished_run(Path(str(options.run)))
    config = configuration(folder, Beside(options.trust, own))
    make_env = parts.environment(config.env)
    method = folder.read_json("provenance.json", {}).get("method", "agent")

    def load() -> Advice:
        agent = parts.agent(config, make_env)
        folder.load(agent)
        agent.eval()
        agent.begin_rollout()
        return (
            lambda decision: agent.log_policy([decision])[0, : len(decision.action_ids)],
            lambda decision: agent.remember([decision])[0],
        )

    return config.env, make_env, f"{method}, trained", load


def untrained(asked: DictConfig) -> Loaded:
    """Return the environment and the language model that the groups name. Raises UserError."""
    make_env, model, norm = parts.environment(asked.env), parts.model_config(asked.model), parts.normalization(asked.norm)
    check_path(model)

    def load() -> Advice:
        import torch

        from twosome.language.gate import engine_of
        from twosome.language.loading import load_language_model

        scorer = engine_of(load_language_model(model), norm)
        known: dict[Any, Tensor] = {}

        def advise(decision: "Decision") -> "Tensor":
            if decision.text not in known:
                with torch.no_grad():
                    known[decision.text] = scorer.score([decision.text]).log_policy()[0]
            return known[decision.text]

        return advise, lambda decision: None

    return asked.env, make_env, "language model, untrained", load
