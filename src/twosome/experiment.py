"""Building what a configuration names: the environment, the agent, the norm. Used by every entry.

Libraries that take seconds to import are imported where they are used: bad options are told before.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from twosome.config import check_targets, shown, typed
from twosome.errors import UserError, folded, unknown_choice
from twosome.language.config import ModelConfig, check_options
from twosome.language.norms import Normalization

if TYPE_CHECKING:
    import gymnasium

    from twosome.language.scorer import Scorer
    from twosome.policies.agent import Agent

MakeEnv = Callable[[], "gymnasium.Env"]
LoadScorer = Callable[..., "Scorer"]  # with load_scorer's arguments
UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
ACCELERATORS = ("auto", "cpu", "cuda", "gpu")


def load_scorer(model: ModelConfig, norm: Normalization, **engine: Any) -> "Scorer":
    """The engine with a newly loaded model. engine: as in EngineConfig."""
    from twosome.language.loading import load_language_model
    from twosome.language.scorer import Scorer

    return Scorer(load_language_model(model), norm, **engine)


@dataclass(frozen=True)
class AgentContext:
    """What an agent's builder (``baseline._target_``) may use.

    make_env: makes an environment of the run. model: the language model's configuration (loading it is up to the builder).
    norm: the normalisation of action scores. seed: of all that is random about the agent. gamma: the environment's discount
    per primitive step. load_scorer: makes the engine of the language model.
    """

    make_env: MakeEnv
    model: ModelConfig
    norm: Normalization
    seed: int
    gamma: float
    load_scorer: LoadScorer = load_scorer


def environment(config: DictConfig, render_mode: str | None = None) -> MakeEnv:
    """A maker of the environment that ``env`` configures; makes one at once to find errors before any compute.

    ``env.id`` may begin with a module to import, which registers the id: ``module:namespace/Name-v0``. Raises UserError
    for an unknown id and whatever one-line error the environment has for its options.
    """
    import gymnasium

    import twosome.envs  # noqa: F401  (registers the suite's environments)
    from twosome.envs.checked import Checked

    if not isinstance(config.get("id"), str):
        raise UserError(f"env.id={shown(config.get('id'))}: expected an environment's name, as in twosome/Overcooked-v0")
    options: dict[str, Any] = OmegaConf.to_container(config.get("kwargs", {}), resolve=True)  # type: ignore[assignment]
    options |= {name: config[name] for name in ("task", "prompt") if name in config}

    def make_env() -> gymnasium.Env:
        return Checked(gymnasium.make(config.id, render_mode=render_mode, **options))

    try:
        make_env().close()
    except gymnasium.error.Error as error:
        known = [name for name in gymnasium.registry if name.startswith("twosome/")]
        raise unknown_choice("env.id", config.id, known) from error
    except UserError as error:
        raise UserError(_in_full(str(error), config)) from error
    except ImportError as error:
        raise UserError(
            f"env.id={config.id}: {folded(error)}; expected <module>:<name>, the module where Python finds it"
        ) from error
    except (TypeError, ValueError) as error:
        if unknown := UNEXPECTED.search(str(error)):
            option = _in_full(f"{unknown[1]}=", config) + str(options.get(unknown[1]))
            raise UserError(f"{option}: {config.id} has no such option; leave it out, or correct conf/env") from error
        raise UserError(f"env.id={config.id} with {options}: {folded(error)}; check conf/env") from error
    return make_env


def _in_full(message: str, config: DictConfig) -> str:
    """A message of the environment's, with the names of its options as they are in the configuration."""
    for place in ("env", "env.kwargs"):
        for name in map(str, config if place == "env" else config.get("kwargs", {})):
            message = re.sub(rf"(?<![\w.]){name}=", f"{place}.{name}=", message)
    return message


def normalization(config: DictConfig) -> Normalization:
    """The function that ``norm`` names."""
    check_targets(config, "norm")
    return instantiate(config)


def model_config(config: DictConfig, accelerator: str | None = None) -> ModelConfig:
    """The checked ``model`` configuration; device=auto follows the trainer's accelerator where one is given."""
    model = typed(ModelConfig, config, "model")
    if accelerator not in (None, *ACCELERATORS):
        raise unknown_choice("trainer.accelerator", accelerator, ACCELERATORS)
    if accelerator in ("gpu", "cuda"):
        import torch

        if not torch.cuda.is_available():
            raise UserError(f"trainer.accelerator={accelerator}: PyTorch sees no CUDA device; use trainer=cpu")
    if model.device == "auto" and accelerator in ("cpu", "gpu", "cuda"):
        model.device = "cpu" if accelerator == "cpu" else "cuda"
    check_options(model)
    return model


def agent(config: DictConfig, make_env: MakeEnv, load_scorer: LoadScorer = load_scorer) -> "Agent":
    """The agent of a run's configuration. load_scorer: for an engine of another kind."""
    check_targets(config.baseline, "baseline")
    model = model_config(config.model, config.trainer.accelerator)
    norm = normalization(config.norm)
    context = AgentContext(make_env, model, norm, config.seed, config.env.gamma, load_scorer)
    try:
        return instantiate(config.baseline, _partial_=True, _convert_="all")(context)
    except TypeError as error:
        if unknown := UNEXPECTED.search(str(error)):
            raise UserError(f"baseline.*.{unknown[1]}: {config.baseline._target_} has no such option; leave it out") from error
        raise
