"""Build the parts of a run that its configuration names: environment, norm, algorithm, agent.

Libraries that take seconds to import are imported in functions, after the options are checked.
"""

import inspect
import os
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from twosome.config import check_groups, shown, typed
from twosome.errors import ContractError, RunError, UserError, folded, import_hint, is_interruption, raised, unknown_choice
from twosome.language.config import ModelConfig, check_options, resolve_dtype
from twosome.language.norms import Normalization
from twosome.policies.agent import AgentContext, LoadEngine, MakeEnv, load_engine

if TYPE_CHECKING:
    from twosome.algorithms.algorithm import Algorithm
    from twosome.envs.contract import Words
    from twosome.policies.agent import Agent

UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
OF_AGENTS = {
    "engine": "collections.abc.Callable",
    "tuning": "twosome.language.tuning.Tuning",
    "value_head": "twosome.policies.heads.ValueHead",
    "policy_head": "twosome.policies.heads.PolicyHead",
}
"""Groups of conf/ that only some agents use, and the class of the objects that their files configure."""
ACCELERATORS = ("auto", "cpu", "cuda", "gpu")


def environment(config: DictConfig, render_mode: str | None = None) -> MakeEnv:
    """Return a function that makes the environment that ``env`` configures. One is made and reset at once to find errors early.

    ``env.id`` may begin with a module to import, which registers the id: ``module:namespace/Name-v0``. Raises UserError
    for an unknown id, for any error of the environment, and if it violates its contract (CONTRIBUTING.md).
    """
    import gymnasium

    import twosome.envs  # noqa: F401  (registers the suite's environments)
    from twosome.envs.checked import Checked

    if not isinstance(config.get("id"), str):
        raise UserError(f"env.id={shown(config.get('id'))}: expected an environment's name, as in twosome/Overcooked-v0")
    options: dict[str, Any] = OmegaConf.to_container(_kwargs(config), resolve=True)  # type: ignore[assignment]
    options |= {name: config[name] for name in ("task", "prompt") if name in config}
    known: dict[int, Words] = {}
    notes: set[str] = set()

    def make_env() -> gymnasium.Env:
        return Checked(gymnasium.make(config.id, render_mode=render_mode, disable_env_checker=True, **options), known, notes)

    try:
        env = make_env()
        env.reset(seed=0)
        env.close()
    except BaseException as error:
        if is_interruption(error):
            raise
        raise _unusable(error, config, options) from error
    return make_env


def _kwargs(config: DictConfig) -> DictConfig:
    """Return the environment's own options; raise UserError if they are not a mapping."""
    kwargs = config.get("kwargs")
    if kwargs is not None and not OmegaConf.is_dict(kwargs):
        raise UserError(f"env.kwargs={kwargs}: expected the environment's options, as in env.kwargs.<option>=...")
    return OmegaConf.create() if kwargs is None else kwargs


def _unusable(error: BaseException, config: DictConfig, options: dict[str, Any]) -> UserError:
    """Return the error for an environment that cannot be made and reset."""
    import gymnasium

    if isinstance(error, gymnasium.error.Error) and config.id.rpartition(":")[2] not in gymnasium.registry:
        return unknown_choice("env.id", config.id, [name for name in gymnasium.registry if name.startswith("twosome/")])
    if isinstance(error, ContractError | RunError):  # raised by Checked
        return UserError(str(error))
    if isinstance(error, UserError):
        return UserError(_with_full_names(str(error), config))
    if isinstance(error, ImportError):
        reason = f"{folded(error)}; expected <module>:<name>, the module where Python finds it{import_hint(error)}"
        return UserError(f"env.id={config.id}: {reason}")
    if isinstance(error, TypeError) and (unknown := UNEXPECTED.search(str(error))) and unknown[1] in options:
        option = _with_full_names(f"{unknown[1]}=", config) + str(options[unknown[1]])
        return UserError(f"{option}: {config.id} has no such option; leave it out, or correct conf/env")
    cause = error.__cause__ or error  # gymnasium.make raises a new TypeError
    return UserError(
        f"env.id={config.id} with {options}: it {raised(cause)}; expected an environment that can be made so (see "
        "CONTRIBUTING.md); check conf/env; HYDRA_FULL_ERROR=1 shows the traceback"
    )


def _with_full_names(message: str, config: DictConfig) -> str:
    """Replace the names of options in an environment's message by their full names in the configuration."""
    for place in ("env", "env.kwargs"):
        for name in map(str, config if place == "env" else _kwargs(config)):
            message = re.sub(rf"(?<![\w.]){name}=", f"{place}.{name}=", message)
    return message


def normalization(config: DictConfig) -> Normalization:
    """Return the function that ``norm`` names; raise UserError if it names none."""
    norm = _instantiate(config, "norm")
    if not callable(norm):
        raise UserError(f"norm={shown(norm)}: expected a function of an action prompt and its number of tokens")
    return norm


def _instantiate(config: DictConfig, option: str, **how: Any) -> Any:
    """Instantiate a configuration with a target by Hydra; raise UserError if there is no such target."""
    try:
        return instantiate(config, **how)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        raise UserError(
            f"{option}._target_={config.get('_target_')}: {folded(cause)}; expected an import path, as in package.module.name"
            f"{import_hint(cause)}"
        ) from error


def model_config(config: DictConfig, accelerator: str | None = None) -> ModelConfig:
    """Return the checked ``model`` configuration; raise UserError. accelerator: the trainer's, which device=auto follows."""
    model = typed(ModelConfig, config, "model")
    if accelerator not in (None, *ACCELERATORS):
        raise unknown_choice("trainer.accelerator", accelerator, ACCELERATORS)
    if accelerator not in (None, "cpu"):  # before cuBLAS computes anything: Lightning, which asks for determinism, sets it later
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if accelerator in ("gpu", "cuda"):
        import torch

        if not torch.cuda.is_available():
            raise UserError(f"trainer.accelerator={accelerator}: PyTorch sees no CUDA device; use trainer=cpu")
    if model.device == "auto" and accelerator in ("cpu", "gpu", "cuda"):
        model.device = "cpu" if accelerator == "cpu" else "cuda"
    check_options(model)
    model.dtype = resolve_dtype(model.dtype, model.device)
    return model


def algorithm(config: DictConfig) -> "Algorithm":
    """Return the algorithm of a run's configuration; raise UserError. Its options are the entries of ``algorithm``."""
    options: dict[str, Any] = OmegaConf.to_container(config.algorithm, resolve=True)  # type: ignore[assignment]
    target = _target(options.pop("_target_", None), "algorithm")
    return _build(
        _instantiate(target, "algorithm", _partial_=True), "algorithm", "twosome.algorithms.algorithm.Algorithm", **options
    )


def agent(
    config: DictConfig, make_env: MakeEnv, loading: LoadEngine = load_engine, chosen: Mapping[str, Any] | None = None
) -> "Agent":
    """Build the agent of a run's configuration; raise UserError.

    loading: loads a language model and makes its engine. chosen: the value of `agent_parts`, if it was made before.
    """
    model = model_config(config.model, config.trainer.accelerator)
    norm = normalization(config.norm)
    made = agent_parts(config) if chosen is None else chosen
    context = AgentContext(make_env, model, norm, config.seed, config.env.gamma, made, loading)
    _target(config.baseline.get("_target_"), "baseline")
    return _build(
        _instantiate(config.baseline, "baseline", _partial_=True, _convert_="all"),
        "baseline",
        "twosome.policies.agent.Agent",
        context,
    )


def agent_parts(config: DictConfig) -> dict[str, Any]:
    """Instantiate those of the groups OF_AGENTS that the configuration has, by group; raise UserError."""
    groups = {group: kind for group, kind in OF_AGENTS.items() if group in config}
    check_groups(config, groups)
    made = {}
    for group, kind in groups.items():
        target = _target(config[group].get("_target_"), group)._target_
        made[group] = _instantiate(config[group], group, _convert_="all")
        if not isinstance(made[group], get_class(kind)):
            raise UserError(f"{group}._target_={target}: it made {shown(made[group])}; expected a {kind}; see conf/{group}")
    return made


def _target(path: Any, option: str) -> DictConfig:
    """Return a configuration of a target only; raise UserError if path is not an import path."""
    if not isinstance(path, str):
        raise UserError(f"{option}._target_={shown(path)}: expected an import path, as in package.module.name; see conf/{option}")
    return OmegaConf.create({"_target_": path})


def _build(build: "partial[Any]", option: str, kind: str, *given: Any, **options: Any) -> Any:
    """Call a configuration's target with given and options; raise UserError if that fails or the result is not of class kind."""
    path = f"{build.func.__module__}.{build.func.__qualname__}"
    expected = f"expected what makes an object of {kind}; see conf/{option}"
    try:
        inspect.signature(build.func).bind(*given, **build.keywords, **options)
    except (TypeError, ValueError) as error:
        if unknown := UNEXPECTED.search(str(error)):
            place = f"{option}.*" if given else option
            raise UserError(f"{place}.{unknown[1]}: {path} has no such option; leave it out") from error
        raise UserError(f"{option}._target_={path}: {error}; {expected}") from error
    made = build(*given, **options)
    if not isinstance(made, get_class(kind)):
        raise UserError(f"{option}._target_={path}: it made {shown(made)}; {expected}")
    return made
