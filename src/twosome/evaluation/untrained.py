"""Evaluations that no training changes, by random play and by the language model before training, are computed once a machine.

All runs of a sweep share them: the seeds, and what varies in training only.
"""

import platform
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import torch
from omegaconf import DictConfig, OmegaConf

from twosome.policies.agent import Agent
from twosome.policies.language import LanguageAgent
from twosome.policies.policy_heads import Words
from twosome.policies.random import RandomAgent
from twosome.storage.cache import cached
from twosome.storage.provenance import code_checksum, cpu_name

GROUPS = ("baseline", "model", "norm", "engine", "tuning", "trainer")
"""The options that the policy of a language model before training depends on, to the last bit."""


def key_of(agent: Agent, config: DictConfig) -> dict[str, Any] | None:
    """Return what determines an agent's policy, as JSON; None if training or the run's seed may, or code outside of the suite.

    config: the run's.
    """
    if type(agent) is RandomAgent:
        return {"policy": "random", "code": code_checksum()}
    if not isinstance(agent, LanguageAgent) or type(agent.policy_head) is not Words or not agent.tuning.is_reference(agent.lm):
        return None
    options: dict[str, Any] = {group: OmegaConf.to_container(config[group], resolve=True) for group in GROUPS}
    if not names_own_code(options):
        return None
    options["model"]["seed"] = None  # of a random model, whose checksum differs
    device = agent.engine.device
    return {
        "policy": options,
        "code": code_checksum(),
        **agent.provenance(),
        "text": agent.language_model.text_checksum,
        "machine": cpu_name() or platform.node(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
    }


def once(
    key: Mapping[str, Any] | None, env: DictConfig, asked: dict[str, Any], play: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the scores of an evaluation: from the machine's cache if they are there, else from play, which are kept then.

    key: from key_of; None: nothing is kept. env: the configuration of the environment. asked: the number of episodes, the seed
    and the mode.
    """
    options = OmegaConf.to_container(env, resolve=True)
    if key is None or not names_own_code(options) or not str(gymnasium.spec(env.id).entry_point).startswith("twosome."):
        return play()
    return cached("episodes", {**key, "env": options, **asked}, play)


def names_own_code(options: Any) -> bool:
    """Return whether options name no code outside of the suite: no target, no import path, no code of a model's folder."""
    if isinstance(options, dict):
        target = str(options.get("_target_", "twosome."))
        return (
            target.startswith("twosome.") and not options.get("trust_remote_code") and all(map(names_own_code, options.values()))
        )
    if isinstance(options, list):
        return all(map(names_own_code, options))
    return not (isinstance(options, str) and ":" in options)
