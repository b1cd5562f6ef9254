"""Environments side by side: every step is a transition inside one episode, and a restored state goes on as the first."""

import io
import json
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import home, kitchen, make, room

from twosome.decision import Decision
from twosome.envs.vector import DecisionEnvs, Episode, Player


class Corridor(gymnasium.Env):
    """An episode's number and the place in it are all there is; action 1 ends it, the third decision cuts it."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)
    episode = -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode, self.place, self.primitive_steps = self.episode + 1, 0, 0
        return self._offer(0, False)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.place, self.primitive_steps = self.place + 1, self.primitive_steps + 2 + int(action)
        reward = 1.0 if action == 2 else 10.0 * self.place
        obs, info = self._offer(2 + int(action), action == 1)
        return obs, reward, action == 1, self.place == 3, info

    def _offer(self, duration: int, success: bool) -> tuple[np.ndarray, dict]:
        words = ("wait", "leave", "stumble")[: 3 - self.place % 2]  # ragged: now three, now two
        info = {
            "prompt": f"episode {self.episode}, place {self.place}", "action_ids": tuple(range(len(words))),
            "action_prompts": words, "duration": duration, "primitive_steps": self.primitive_steps, "success": success,
        }  # fmt: skip
        return np.array([self.episode, self.place], dtype=np.float32), info


def offered(decision: Decision) -> tuple[int, int]:
    """Episode and place; the observation, the prompt and the actions have to speak of the same."""
    episode, place = map(int, decision.obs)
    assert decision.prompt == f"episode {episode}, place {place}"
    assert decision.action_ids == tuple(range(3 - place % 2))
    assert decision.action_prompts == ("wait", "leave", "stumble")[: 3 - place % 2]
    return episode, place


def test_no_transition_crosses_an_episode() -> None:
    envs = DecisionEnvs(Corridor, 3)
    assert [offered(decision) for decision in envs.reset(0)] == [(0, 0)] * 3
    step = envs.step([0, 1, 0])  # the second environment's episode terminates
    assert [offered(decision) for decision in step.decisions] == [(0, 1), (1, 0), (0, 1)]
    assert {env: offered(decision) for env, decision in step.final.items()} == {1: (0, 1)}
    assert step.rewards.tolist() == [10, 10, 10]
    assert step.durations.tolist() == [2, 3, 2]  # of the decision just made, not of the reset
    assert step.primitive_steps.tolist() == [2, 3, 2]
    assert step.terminated.tolist() == step.success.tolist() == [False, True, False]
    assert not step.truncated.any()

    step = envs.step([0, 0, 1])
    assert [offered(decision) for decision in step.decisions] == [(0, 2), (1, 1), (1, 0)]
    assert {env: offered(decision) for env, decision in step.final.items()} == {2: (0, 2)}
    assert step.rewards.tolist() == [20, 10, 20]
    assert step.primitive_steps.tolist() == [4, 2, 5]

    step = envs.step([0, 0, 0])  # the first environment's episode is cut
    assert [offered(decision) for decision in step.decisions] == [(1, 0), (1, 2), (1, 1)]
    assert {env: offered(decision) for env, decision in step.final.items()} == {0: (0, 3)}
    assert step.truncated.tolist() == [True, False, False]
    assert not step.terminated.any()
    assert not step.success.any()
    assert step.primitive_steps.tolist() == [6, 4, 2]


def test_decisions_outlive_the_next_step() -> None:
    envs = DecisionEnvs(Corridor, 2)
    first = envs.reset(0)
    second = envs.step([0, 1])
    for _ in range(4):
        envs.step([0, 0])
    assert [offered(decision) for decision in first] == [(0, 0)] * 2
    assert [offered(decision) for decision in second.decisions] == [(0, 1), (1, 0)]
    assert offered(second.final[1]) == (0, 1)


def test_episodes_come_with_the_step_that_ends_them() -> None:
    envs, resumed = DecisionEnvs(Corridor, 3, gamma=0.5), DecisionEnvs(Corridor, 3, gamma=0.5)
    envs.reset(0)
    assert envs.step([0, 0, 0]).episodes == []
    state = json.loads(json.dumps(envs.state()))
    first, third = envs.step([1, 0, 2]).episodes[0], envs.step([0, 0, 1]).episodes
    assert first == Episode(0, 0, 10 + 20 / 4, 30, decisions=2, primitive_steps=5, terminated=True, success=True)
    assert [(each.env, each.decisions, each.terminated, each.success) for each in third] == [
        (1, 3, False, False),
        (2, 3, True, True),
    ]
    assert third[1].discounted_return == 10 + 1 / 4 + 30 / 2**6
    resumed.restore(state)  # in the middle of its episodes
    assert resumed.step([1, 0, 2]).episodes == [first]
    assert resumed.step([0, 0, 1]).episodes == third
    assert [player.episode.decisions for player in envs.players] == [1, 0, 0]


class Noise(Corridor):
    """Observes a random number in place of the episode."""

    def _offer(self, duration: int, success: bool) -> tuple[np.ndarray, dict]:
        obs, info = super()._offer(duration, success)
        obs[0] = self.np_random.random()
        info["prompt"] = f"place {self.place}"
        return obs, info


def play(envs: DecisionEnvs, steps: int) -> list[list[float]]:
    return [[float(one.obs[0]) for one in envs.step([0] * envs.num_envs).decisions] for _ in range(steps)]


def test_a_seed_fixes_every_environment_and_none_equals_another() -> None:
    runs = []
    for seed in (0, 0, 1):
        envs = DecisionEnvs(Noise, 4)
        runs.append([[float(one.obs[0]) for one in envs.reset(seed)], *play(envs, 5)])
    assert runs[0] == runs[1]
    numbers = [number for run in (runs[0], runs[2]) for row in run for number in row]
    assert len(set(numbers)) == len(numbers) == 2 * 6 * 4


WORLDS = {
    "noise": Noise,
    "overcooked": lambda: kitchen(task="tomato_lettuce_salad", max_primitive_steps=40),
    "virtualhome": lambda: home(task="entertainment"),
    "babyai_text": lambda: room(task="mixed", num_objects=4, room_size=6, mixture_seed=2),
    "sokoban": lambda: make("Sokoban"),
}


@pytest.mark.parametrize("name", WORLDS)
@settings(max_examples=12)
@given(past=st.integers(0, 60), seed=st.integers(0, 2**32 - 1), alike=st.sampled_from([1, 1, 2]))
def test_a_restored_vector_goes_on_as_the_first(name: str, past: int, seed: int, alike: int) -> None:
    envs, resumed = DecisionEnvs(WORLDS[name], 3), DecisionEnvs(WORLDS[name], 3)
    decisions, rng = envs.reset(seed, alike), np.random.default_rng(seed)
    for _ in range(past):
        decisions = envs.step([int(rng.choice(decision.action_ids)) for decision in decisions]).decisions
    file = io.BytesIO()
    torch.save(state := envs.state(), file)
    resumed.reset(seed, alike)
    resumed.order = list(envs.order)  # which a run's checkpoint holds
    again = resumed.restore(torch.load(io.BytesIO(file.getvalue()), weights_only=True))  # read without running code
    assert [each.text for each in again] == [each.text for each in decisions]
    assert resumed.state() == state
    before = repr(state)
    for _ in range(30):
        actions = [int(rng.choice(decision.action_ids)) for decision in decisions]
        one, other = envs.step(actions), resumed.step(actions)
        assert [(each.text, each.obs.tolist()) for each in one.decisions] == [
            (each.text, each.obs.tolist()) for each in other.decisions
        ]
        assert one.rewards.tolist() == other.rewards.tolist()
        assert one.episodes == other.episodes
        decisions = one.decisions
    assert envs.state() == resumed.state()
    assert repr(state) == before  # a copy


@pytest.mark.parametrize("name", ["FrozenLake-v1", "Blackjack-v1", "CartPole-v1"])
def test_a_seed_means_what_it_means_to_the_bare_environment(name: str) -> None:
    bare, player = gymnasium.make(name), Player(Wordy(gymnasium.make(name)), 1.0)
    for seed in (5, None):
        assert np.array_equal(player.reset(seed).obs, np.array(bare.reset(seed=seed)[0], dtype=np.float32))
        for _ in range(3):
            assert np.array_equal(player.step(1).decision.obs, np.array(bare.step(1)[0], dtype=np.float32))
            if player.ended:
                break


class Wordy(gymnasium.Wrapper):
    """Any environment, with the least that a decision needs."""

    def reset(self, **options: Any) -> tuple[Any, dict]:
        return self.env.reset(**options)[0], self._info()

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        return *self.env.step(action)[:4], self._info()

    def _info(self) -> dict[str, Any]:
        words = {"prompt": "You", "action_ids": (0, 1), "action_prompts": ("a", "b")}
        return {**words, "duration": 1, "primitive_steps": 1, "success": False}


def test_consecutive_episodes_can_share_a_seed() -> None:
    envs = DecisionEnvs(Noise, 4)
    starts = [float(decision.obs[0]) for decision in envs.reset(3, alike=2)]
    assert starts[0] == starts[1] != starts[2] == starts[3]
    step = envs.step([1, 0, 1, 0])  # the first and the third environment begin the next pair
    assert step.decisions[0].obs.tolist() == step.decisions[2].obs.tolist()
    assert envs.order == [4, 1, 5, 3]


def test_what_only_some_environments_tell_comes_with_the_decision() -> None:
    assert [(each.affordances, each.state) for each in DecisionEnvs(Corridor, 2).reset(0)] == [(None, None)] * 2
    envs = DecisionEnvs(partial(kitchen, max_primitive_steps=5), 3)
    envs.reset(0)
    after = envs.step([0, 1, 4])  # the second environment's episode is cut
    assert list(after.final) == [1]
    for player, decision in zip(envs.players, [*after.decisions, *after.final.values()], strict=False):
        view = player.env.unwrapped._automaton.view(decision.state)
        assert (decision.affordances, decision.prompt) == (view.affordances, view.prompt)
    assert after.final[1].state != after.decisions[1].state == envs.players[1].env.unwrapped.initial_states[0][1]


def test_only_a_mixtures_episodes_have_a_column_of_tasks() -> None:
    assert list(Episode(task="go_to").row())[-2:] == ["success", "task"]
    assert "task" not in Episode().row()
