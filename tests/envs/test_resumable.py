"""Restoring an environment at any point gives exactly the future it would have had."""

import io
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from overcooked_tools import make

from twosome.envs.resumable import Resumable


class Dice(gymnasium.Env):
    """Randomness at the reset, in steps, and of changing amount: an action throws that many dice."""

    observation_space = gymnasium.spaces.Box(0, 6, (5,), np.int64)
    action_space = gymnasium.spaces.Discrete(5)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.total = int(self.np_random.integers(1, 7))
        return np.array([self.total, 0, 0, 0, 0]), {"total": self.total}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        thrown = np.zeros(5, dtype=np.int64)
        thrown[:action] = self.np_random.integers(1, 7, size=action)
        self.total += int(thrown.sum())
        return thrown, float(self.np_random.normal()), self.total > 40, False, {"total": self.total}


ENVIRONMENTS = {
    "dice": Dice,
    "frozen lake": lambda: gymnasium.make("FrozenLake-v1", is_slippery=True),
    "blackjack": lambda: gymnasium.make("Blackjack-v1"),
    "overcooked": lambda: make(task="tomato_lettuce_salad"),
}
environments = pytest.mark.parametrize("name", ENVIRONMENTS)


def plain(value: Any) -> Any:
    """Arrays as lists, for comparison."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def play(env: gymnasium.Env, actions: list[int]) -> list[Any]:
    """What steps give; ended episodes are followed by the next."""
    seen = []
    for action in actions:
        result = env.step(action % env.action_space.n)
        seen.append(plain(result))
        if result[2] or result[3]:
            seen.append(plain(env.reset()))
    return seen


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """Through a file and back, as checkpoints are read: without running code."""
    file = io.BytesIO()
    torch.save(state, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


actions = st.lists(st.integers(0, 11), max_size=25)


@environments
@settings(max_examples=15)
@given(past=actions, future=actions, seed=st.integers(0, 2**32 - 1))
def test_the_future_is_the_same_from_anywhere(name: str, past: list[int], future: list[int], seed: int) -> None:
    env, resumed = Resumable(ENVIRONMENTS[name]()), Resumable(ENVIRONMENTS[name]())
    here = [plain(env.reset(seed=seed)), *play(env, past)][-1]
    state = env.state()
    obs, info = resumed.restore(stored(state))
    assert plain(obs) == here[0]
    assert plain(info) == here[-1]
    assert resumed.state() == state
    assert play(resumed, future) == play(env, future)
    assert resumed.state() == env.state()


@environments
def test_going_back_in_the_same_environment(name: str) -> None:
    env = Resumable(ENVIRONMENTS[name]())
    env.reset(seed=3)
    play(env, [1, 2, 3])
    state = env.state()
    first = play(env, [3, 1, 2, 4, 0] * 6)
    env.restore(state)
    assert play(env, [3, 1, 2, 4, 0] * 6) == first


@environments
def test_a_seed_means_what_it_means_to_the_bare_environment(name: str) -> None:
    bare, resumable = ENVIRONMENTS[name](), Resumable(ENVIRONMENTS[name]())
    assert plain(resumable.reset(seed=5)) == plain(bare.reset(seed=5))
    assert play(resumable, [1, 2, 3, 4] * 8) == play(bare, [1, 2, 3, 4] * 8)


def test_episodes_without_a_seed_go_on_in_the_generators_sequence() -> None:
    env = Resumable(Dice())
    starts = [env.reset(seed=1)[0][0], *(env.reset()[0][0] for _ in range(30))]
    assert set(starts) == {1, 2, 3, 4, 5, 6}


def test_a_state_is_a_copy_of_plain_values() -> None:
    env = Resumable(Dice())
    env.reset(seed=0)
    env.step(np.int64(2))
    state = env.state()
    assert state["actions"] == [2]
    assert type(state["actions"][0]) is int
    before = repr(state)
    play(env, [1, 2, 3] * 10)
    assert repr(state) == before


def test_options_are_refused() -> None:
    with pytest.raises(ValueError, match="without options"):
        Resumable(Dice()).reset(options={"map": "A"})
