"""The contract of an environment (CONTRIBUTING.md), checked in every reset and step."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from twosome.errors import ContractError, shown

KEYS = ("prompt", "action_ids", "action_prompts", "duration", "primitive_steps", "success")
"""The keys that every info must have."""

NUMBERS = (float, int, np.floating, np.integer, np.bool_)

MAX_REWARD = 1e15
"""The largest reward. Squares of larger ones would overflow float32, in which returns are learned."""

Words = tuple[Any, Any, Any, Any]
"""The action_prompts, action_ids, prompt and affordances of an info."""

REMEMBERED = 4096
"""The number of Words that are remembered as valid, so that they are not checked again."""

_required = itemgetter(*KEYS)


def spaces(env: gymnasium.Env) -> tuple[Box, Discrete]:
    """Return the environment's observation and action space; raise ContractError if they violate the contract."""
    observations, actions = (getattr(env, name, None) for name in ("observation_space", "action_space"))
    if not isinstance(observations, Box) or observations.dtype != np.float32:
        raise ContractError(f"its observation_space is {shown(observations)}, expected a Box of float32")
    if not isinstance(actions, Discrete) or actions.start != 0:
        raise ContractError(f"its action_space is {shown(actions)}, expected a Discrete that starts at 0")
    return observations, actions


class Contract:
    """A checker of what one environment returns from reset() and step().

    Its methods return the given values, with texts as plain str. They raise ContractError, which names what was found and what
    was expected. They are fast, since they are called at every step: values of the usual types are accepted by their exact type,
    and texts that are the same objects as in an earlier decision are not checked again.
    """

    def __init__(self, env: gymnasium.Env, known: dict[int, Words] | None = None) -> None:
        """known: valid words by the id() of their action_prompts, shared by environments of one kind. Raises ContractError."""
        observations, actions = spaces(env)
        self._shape, self._dtype, self._actions = observations.shape, observations.dtype, int(actions.n)
        tasks = getattr(env.unwrapped, "tasks", ())
        if not _listed(tasks) or not all(isinstance(task, str) for task in tasks):
            raise ContractError(f"its tasks are {shown(tasks)}, expected a tuple of str")
        names = getattr(env.unwrapped, "action_names", None)
        if names is not None and not (_listed(names) and [*map(type, names)] == [str] * self._actions):
            raise ContractError(f"its action_names are {shown(names)}, expected a tuple of {self._actions} str")
        self._primitive_steps = 0
        self._known = {} if known is None else known

    def reset(self, given: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Check the return value of reset()."""
        if not isinstance(given, tuple) or len(given) != 2:
            raise ContractError(f"its reset() gave {_counted(given)}, expected 2: obs, info")
        obs, info = given
        self._check_obs(obs, "reset")
        info = self._decision(info)
        if not isinstance(info.get("task", ""), str):
            raise ContractError(f"its info['task'] is {shown(info['task'])}, expected the name of the episode's task")
        if info["primitive_steps"] != 0:
            raise ContractError(f"its info['primitive_steps'] is {info['primitive_steps']}, expected 0 at reset")
        self._primitive_steps = 0
        return obs, info

    def step(self, given: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Check the return value of step()."""
        if not isinstance(given, tuple) or len(given) != 5:
            raise ContractError(f"its step() gave {_counted(given)}, expected 5: obs, reward, terminated, truncated, info")
        obs, reward, terminated, truncated, info = given
        if not isinstance(reward, NUMBERS) or not -MAX_REWARD <= reward <= MAX_REWARD:
            raise ContractError(
                f"its step() gave the reward {shown(reward)}, expected a finite number from {-MAX_REWARD:g} to {MAX_REWARD:g}"
            )
        if not (type(terminated) is type(truncated) is bool) and not (_truth(terminated) and _truth(truncated)):
            found = f"{shown(terminated)} and {shown(truncated)}"
            raise ContractError(f"its step() gave {found} as terminated and truncated, expected True or False")
        self._check_obs(obs, "step")
        info = self._decision(info)
        before, self._primitive_steps = self._primitive_steps, self._primitive_steps + info["duration"]
        if info["primitive_steps"] != self._primitive_steps:
            raise ContractError(
                f"its info['primitive_steps'] is {info['primitive_steps']}, expected {self._primitive_steps}: {before} before "
                f"and the duration {info['duration']}"
            )
        return obs, reward, terminated, truncated, info

    def _check_obs(self, obs: Any, call: str) -> None:
        if not isinstance(obs, np.ndarray) or obs.shape != self._shape or obs.dtype != self._dtype:
            found = f"of shape {obs.shape} and {obs.dtype}" if isinstance(obs, np.ndarray) else shown(obs)
            raise ContractError(
                f"its {call}() gave the observation {found}, expected an array of shape {self._shape} and {self._dtype}, as its "
                "observation_space says"
            )
        if np.count_nonzero(np.isfinite(obs)) != obs.size:  # half the time of all()
            raise ContractError(f"its {call}() gave the observation {shown(obs)}, expected finite numbers")

    def _decision(self, info: Any) -> dict[str, Any]:
        if not isinstance(info, dict):
            raise ContractError(f"its info is {shown(info)}, expected a dict")
        try:
            prompt, ids, words, duration, primitive_steps, success = _required(info)
        except KeyError:
            missing = ", ".join(key for key in KEYS if key not in info)
            raise ContractError(f"its info lacks {missing}: expected {', '.join(KEYS)}") from None
        if not (type(duration) is type(primitive_steps) is int and type(success) is bool and duration >= 0):
            _check_outcome(duration, primitive_steps, success)
        affordances, state = info.get("affordances"), info.get("state")
        if state is not None:
            _check_hashable(state)
        known = self._known.get(id(words))
        if known and known[0] is words and known[1] is ids and known[2] is prompt and known[3] is affordances:
            return info
        _check_prompt(prompt)
        _check_actions(ids, words, self._actions)
        _check_affordances(affordances, len(ids))
        if type(prompt) is not str or {*map(type, words)} != {str}:  # such as np.str_, which checkpoints cannot hold
            return {**info, "prompt": str.__str__(prompt), "action_prompts": tuple(map(str.__str__, words))}
        if type(ids) is type(words) is tuple and (affordances is None or type(affordances) is tuple):  # immutable
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[id(words)] = words, ids, prompt, affordances
        return info


def _check_outcome(duration: Any, primitive_steps: Any, success: Any) -> None:
    for name, count in (("duration", duration), ("primitive_steps", primitive_steps)):
        if not _whole(count) or count < 0:
            raise ContractError(f"its info[{name!r}] is {shown(count)}, expected a whole number from 0 on")
    if not _truth(success):
        raise ContractError(f"its info['success'] is {shown(success)}, expected True or False")


def _check_prompt(prompt: Any) -> None:
    if not _worded(prompt) or prompt[-1].isspace():
        raise ContractError(f"its info['prompt'] is {shown(prompt)}, expected words (UTF-8) that do not end in a space")


def _check_actions(ids: Any, words: Any, actions: int) -> None:
    for name, values in (("action_ids", ids), ("action_prompts", words)):
        if not _listed(values):
            raise ContractError(f"its info[{name!r}] is {shown(values)}, expected a tuple")
    if not len(ids) == len(words) > 0:
        raise ContractError(
            f"it offers {len(ids)} action_ids and {len(words)} action_prompts: expected as many of both, at least one"
        )
    if not all(map(_whole, ids)) or not 0 <= min(ids) <= max(ids) < actions or len(set(ids)) < len(ids):
        raise ContractError(
            f"its info['action_ids'] is {shown(ids)}, expected whole numbers from 0 to {actions - 1}, as its action_space says, "
            "none of them twice"
        )
    if not all(map(_worded, words)):
        raise ContractError(
            f"its info['action_prompts'] is {shown(words)}, expected words (UTF-8) for each action, none of them blank"
        )


def _check_affordances(affordances: Any, actions: int) -> None:
    if affordances is None:
        return
    if not _listed(affordances) or len(affordances) != actions or not all(map(_probability, affordances)):
        raise ContractError(
            f"its info['affordances'] is {shown(affordances)}, expected a number from 0 to 1 for each of {actions} actions"
        )


def _check_hashable(state: Any) -> None:
    try:
        hash(state)
    except TypeError:
        raise ContractError(f"its info['state'] is {shown(state)}, expected something hashable") from None


def _listed(values: Any) -> bool:
    """Return whether values are a sequence or a one-dimensional array, and not a text."""
    return (isinstance(values, Sequence) and not isinstance(values, str | bytes)) or (
        isinstance(values, np.ndarray) and values.ndim == 1
    )


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (_whole(value) and value in (0, 1))


def _probability(value: Any) -> bool:
    return isinstance(value, NUMBERS) and bool(0 <= value <= 1)


def _worded(text: Any) -> bool:
    """Return whether text is a str that is not blank and can be encoded as UTF-8, as tokenizers require."""
    return isinstance(text, str) and bool(text.strip()) and (text.isascii() or text.encode(errors="ignore").decode() == text)


def _counted(given: Any) -> str:
    return f"{len(given)} values" if isinstance(given, tuple) else shown(given)
