"""The contract of an environment (CONTRIBUTING.md): a check of it, and reading the optional attributes."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from reprlib import repr as shown
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from twosome.errors import UserError

KEYS = ("prompt", "action_ids", "action_prompts", "duration", "primitive_steps", "success")
"""The keys that every info must have."""


def check_env(env: gymnasium.Env, steps: int = 10) -> None:
    """Check an environment against the contract by some decisions of random play, as Stable-Baselines3's `check_env` does.

    It checks the spaces, the optional attributes, and all that ``reset`` and ``step`` return. An episode that ends is followed
    by the next one. Then each episode is replayed from a copy of `np_random` as it was before ``reset``, the last one first, and
    must be the same: an interrupted run restores its episodes in this way. The environment is not closed.

    steps: number of decisions. Raises UserError, one line that says what was found and expected.
    """
    name = env.spec.id if env.spec else type(env.unwrapped).__name__
    try:
        _, actions = spaces(env)
        tasks, names = (attribute(env, name) or () for name in ("tasks", "action_names"))
        if isinstance(tasks, str) or not all(isinstance(each, str) for each in tasks):
            raise UserError(f"its tasks are {shown(tasks)}, expected a tuple of str")
        if isinstance(names, str) or not all(isinstance(each, str) for each in names) or len(names) not in (0, actions.n):
            raise UserError(f"its action_names are {shown(names)}, expected a str for each of {actions.n} actions")
        episodes: list[tuple[np.random.Generator, list[int], list[Any]]] = []
        random, left = np.random.default_rng(0), steps
        env.np_random = np.random.default_rng(0)
        while left > 0:
            before, chosen = deepcopy(env.np_random), list[int]()
            episodes.append((before, chosen, list(_play(env, left, chosen, random))))
            left -= len(chosen)
        for before, chosen, first in reversed(episodes):
            env.np_random = before
            for number, (one, other) in enumerate(zip(first, _play(env, len(chosen), list(chosen)), strict=True)):
                if one != other:
                    raise UserError(
                        f"the same seed and actions gave {shown(one)}, then {shown(other)}, after {number} decisions; expected "
                        "the same: draw all random numbers from self.np_random, and let reset() forget earlier episodes"
                    )
    except UserError as error:
        raise UserError(f"env.id={name}: {error} (see CONTRIBUTING.md)") from error


def attribute(env: gymnasium.Env, name: str, default: Any = None) -> Any:
    """Return an optional attribute of an environment or of one of its wrappers."""
    return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else default


def spaces(env: gymnasium.Env) -> tuple[Box, Discrete]:
    """Return the environment's observation and action space. Raises UserError if they are not as the contract says."""
    observations, actions = env.observation_space, env.action_space
    if not isinstance(observations, Box) or observations.dtype != np.float32:
        raise UserError(f"its observation_space is {shown(observations)}, expected a Box of float32")
    if not isinstance(actions, Discrete) or actions.start != 0:
        raise UserError(f"its action_space is {shown(actions)}, expected a Discrete that starts at 0")
    return observations, actions


def task_names(make_env: Callable[[], gymnasium.Env]) -> tuple[str, ...]:
    """Return the values of the environment's option ``task``, from its attribute ``tasks``; empty if it has none."""
    return _attribute(make_env, "tasks")


def action_names(make_env: Callable[[], gymnasium.Env]) -> tuple[str, ...]:
    """Return the names of the environment's actions by id, from its attribute ``action_names``; empty if it has none."""
    return _attribute(make_env, "action_names")


def _attribute(make_env: Callable[[], gymnasium.Env], name: str) -> tuple[str, ...]:
    env = make_env()
    found = tuple(attribute(env, name) or ())
    env.close()
    return found


def _play(env: gymnasium.Env, steps: int, actions: list[int], random: np.random.Generator | None = None) -> Iterator[list[Any]]:
    """Play one episode; yield what reset() and each step() returned, as plain values.

    steps: number of decisions, fewer if the episode ends. actions: to be done; if random is given, they are drawn and added.
    """
    obs, info = _values(env.reset(), "reset", ("obs", "info"))
    primitive_steps = 0
    _check_decision(env, obs, info, primitive_steps)
    yield [obs.tolist(), *_plain(info)]
    for number in range(steps):
        if random:
            actions.append(int(random.choice(info["action_ids"])))
        obs, reward, terminated, truncated, info = _values(
            env.step(actions[number]), "step", ("obs", "reward", "terminated", "truncated", "info")
        )
        _expect(_is_number(reward) and np.isfinite(reward), "reward", reward, "a finite number")
        _expect(_is_flag(terminated), "terminated", terminated, "True or False")
        _expect(_is_flag(truncated), "truncated", truncated, "True or False")
        if isinstance(info, dict) and _is_whole(info.get("duration")):
            primitive_steps += info["duration"]
        _check_decision(env, obs, info, primitive_steps)
        yield [obs.tolist(), float(reward), bool(terminated), bool(truncated), *_plain(info)]
        if terminated or truncated:
            break


def _plain(info: dict[str, Any]) -> list[Any]:
    """Return what an info says of a decision."""
    return [info["prompt"], *map(tuple, (info["action_ids"], info["action_prompts"])), int(info["duration"]), info["success"]]


def _values(given: Any, call: str, names: Sequence[str]) -> Any:
    if not isinstance(given, tuple) or len(given) != len(names):
        found = f"{len(given)} values" if isinstance(given, tuple) else shown(given)
        raise UserError(f"its {call}() gave {found}, expected {len(names)}: {', '.join(names)}")
    return given


def _check_decision(env: gymnasium.Env, obs: Any, info: Any, primitive_steps: int) -> None:
    """Check an observation and an info. primitive_steps: the sum of the durations since reset."""
    space, count = spaces(env)[0], int(spaces(env)[1].n)
    if not isinstance(obs, np.ndarray) or obs.shape != space.shape or obs.dtype != space.dtype:
        found = f"of shape {obs.shape} and {obs.dtype}" if isinstance(obs, np.ndarray) else shown(obs)
        raise UserError(f"it gave the observation {found}, expected an array of shape {space.shape} and {space.dtype}")
    _expect(np.isfinite(obs).all(), "observation", obs, "finite numbers")
    _expect(isinstance(info, dict), "info", info, "a dict")
    if missing := [key for key in KEYS if key not in info]:
        raise UserError(f"its info lacks {', '.join(missing)}: expected {', '.join(KEYS)}")
    prompt, ids, words = info["prompt"], info["action_ids"], info["action_prompts"]
    _expect(_is_text(prompt) and not prompt[-1].isspace(), "info['prompt']", prompt, "a str that does not end in a space")
    for key, values in (("action_ids", ids), ("action_prompts", words)):
        _expect(isinstance(values, Sequence | np.ndarray) and not isinstance(values, str), f"info[{key!r}]", values, "a tuple")
    if not len(ids) == len(words) > 0:
        raise UserError(f"it offers {len(ids)} action_ids and {len(words)} action_prompts: expected as many of both, at least 1")
    valid = all(_is_whole(each) and 0 <= each < count for each in ids) and len(set(ids)) == len(ids)
    _expect(valid, "info['action_ids']", ids, f"whole numbers from 0 to {count - 1}, as its action_space says, each once")
    _expect(all(map(_is_text, words)), "info['action_prompts']", words, "a str for each action, none of them blank")
    if (affordances := info.get("affordances")) is not None:
        likely = len(affordances) == len(ids) and all(_is_number(each) and 0 <= each <= 1 for each in affordances)
        _expect(likely, "info['affordances']", affordances, f"a number from 0 to 1 for each of {len(ids)} actions")
    _expect(
        _is_whole(info["duration"]) and info["duration"] >= 0, "info['duration']", info["duration"], "a whole number from 0 on"
    )
    _expect(info["primitive_steps"] == primitive_steps, "info['primitive_steps']", info["primitive_steps"],
            f"{primitive_steps}, the sum of the durations")  # fmt: skip
    _expect(_is_flag(info["success"]), "info['success']", info["success"], "True or False")
    _expect(isinstance(info.get("task", ""), str), "info['task']", info.get("task"), "the name of the episode's task")
    try:
        hash(info.get("state"))
    except TypeError:
        raise UserError(f"its info['state'] is {shown(info['state'])}, expected something hashable") from None


def _expect(valid: Any, name: str, found: Any, expected: str) -> None:
    if not valid:
        raise UserError(f"its {name} is {shown(found)}, expected {expected}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_text(text: Any) -> bool:
    """Return whether text is a plain str, which checkpoints and tokenizers can hold, and not blank."""
    return type(text) is str and bool(text.strip()) and text.encode(errors="ignore").decode() == text
