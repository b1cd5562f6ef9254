"""Build the parts of a run that its configuration names: environment, language model's options, algorithm, agent."""

import os
from collections.abc import Mapping
from typing import Any

import gymnasium
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

import twosome.envs  # noqa: F401  (registers the suite's environments)
from twosome.agents.agent import Agent, AgentContext, LoadEngine, MakeEnv, load_engine
from twosome.algorithms.algorithm import Algorithm
from twosome.config import typed
from twosome.envs.check import check_env
from twosome.envs.optimum import optimal_return
from twosome.errors import UserError
from twosome.language.loading import ModelConfig, resolve_dtype

GROUPS = ("tuning", "value_head", "policy_head")
"""The groups of conf/ that only some agents use."""


def build(node: DictConfig, *args: Any, **options: Any) -> Any:
    """Instantiate a node by Hydra. A UserError of its target is raised as it is."""
    try:
        return instantiate(node, *args, _convert_="all", **options)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


def environment(config: DictConfig, render_mode: str | None = None) -> MakeEnv:
    """Return a function that makes the environment that ``env`` configures. One is made at once and checked (`check_env`).

    ``env.id`` may begin with a module to import, which registers the id: ``module:namespace/Name-v0``. Raises UserError if the
    environment violates its contract (CONTRIBUTING.md).
    """
    options: dict[str, Any] = OmegaConf.to_container(config.get("kwargs") or OmegaConf.create(), resolve=True)  # type: ignore[assignment]
    options |= {name: config[name] for name in ("task", "prompt") if name in config}

    def make_env() -> gymnasium.Env:
        return gymnasium.make(config.id, render_mode=render_mode, disable_env_checker=True, **options)

    env = make_env()
    check_env(env)
    env.close()
    return make_env


def optimum(config: DictConfig, make_env: MakeEnv) -> float | None:
    """Return the optimal discounted return of the environment that ``env`` configures; None if it is not known.

    It is ``env.optimum`` if that is set, or else found by search (`optimal_return`).
    """
    known = config.get("optimum")
    return optimal_return(make_env, config.gamma) if known is None else float(known)


def model_config(config: DictConfig, accelerator: str | None = None) -> ModelConfig:
    """Return the checked ``model`` configuration; raise UserError. accelerator: the trainer's, which device=auto follows."""
    model = typed(ModelConfig, config, "model")
    if accelerator not in (None, "cpu"):  # before cuBLAS computes anything: Lightning, which asks for determinism, sets it later
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if model.device == "auto" and accelerator in ("cpu", "gpu", "cuda"):
        model.device = "cpu" if accelerator == "cpu" else "cuda"
    model.dtype = resolve_dtype(model.dtype, model.device)
    return model


def algorithm(config: DictConfig) -> Algorithm:
    """Return the algorithm of a run's configuration; raise UserError."""
    made: Algorithm = build(config.algorithm)
    return made


def agent(config: DictConfig, make_env: MakeEnv, loading: LoadEngine = load_engine) -> Agent:
    """Build the agent of a run's configuration; raise UserError. loading: loads a language model and makes its engine."""
    parts: Mapping[str, Any] = {group: build(config[group]) for group in GROUPS if group in config}
    model = model_config(config.model, config.trainer.accelerator)
    context = AgentContext(make_env, model, build(config.norm), config.seed, config.env.gamma, parts, loading)
    made: Agent = build(config.baseline, _partial_=True)(context)
    return made
