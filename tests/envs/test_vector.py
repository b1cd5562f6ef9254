"""Environments side by side: every step is a transition inside one episode."""

import json
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest

import twosome.envs  # noqa: F401 - registers the environments
from twosome.decision import Decision
from twosome.envs.episode import Episode
from twosome.envs.vector import DecisionEnvs


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


def test_resetting_offers_each_environments_first_decision() -> None:
    envs = DecisionEnvs(Corridor, 3)
    assert [offered(decision) for decision in envs.reset(0)] == [(0, 0)] * 3
    envs.close()


def test_no_transition_crosses_an_episode() -> None:
    envs = DecisionEnvs(Corridor, 3)
    envs.reset(0)
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


def test_all_episodes_may_end_at_once_and_for_both_reasons() -> None:
    envs = DecisionEnvs(Corridor, 2)
    envs.reset(0)
    envs.step([0, 0])
    envs.step([0, 0])
    step = envs.step([1, 1])
    assert step.terminated.all()
    assert step.truncated.all()
    assert [offered(step.final[env]) for env in range(2)] == [(0, 3)] * 2
    assert [offered(decision) for decision in step.decisions] == [(1, 0)] * 2
    assert step.durations.tolist() == [3, 3]
    assert step.primitive_steps.tolist() == [7, 7]


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


@pytest.mark.parametrize("steps", range(5))  # an episode has three decisions, so before, at and after an end
def test_a_restored_vector_goes_on_as_the_first(steps: int) -> None:
    envs, resumed = DecisionEnvs(Noise, 3), DecisionEnvs(Noise, 3)
    decisions = envs.reset(0)
    for _ in range(steps):
        decisions = envs.step([0, 0, 1]).decisions
    again = resumed.restore(envs.state())
    for one, other in zip(again, decisions, strict=True):
        assert one.obs.tolist() == other.obs.tolist()
        assert one.action_prompts == other.action_prompts
    assert play(resumed, 7) == play(envs, 7)


def test_what_only_some_environments_tell_comes_with_the_decision() -> None:
    silent = DecisionEnvs(Corridor, 2)
    assert [(each.affordances, each.state) for each in silent.reset(0)] == [(None, None)] * 2
    silent.close()
    envs = DecisionEnvs(partial(gymnasium.make, "twosome/Overcooked-v0", max_primitive_steps=20), 3)
    envs.reset(0)
    ended = 0
    for step in range(30):
        after = envs.step([step % 5, (step + 1) % 5, 4])
        ended += len(after.final)
        for player, decision in zip(envs.players, after.decisions, strict=True):
            assert decision.state == player.env.unwrapped._state
            assert decision.affordances == player.env.unwrapped._automaton.view(decision.state).affordances
        for decision in after.final.values():
            assert decision.state is not None
            assert len(decision.affordances or ()) == 5
    assert ended > 3
    envs.close()
