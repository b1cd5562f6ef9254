"""Third-party environments in words: the contract, seeds, resuming, what a success is."""

import gymnasium
import numpy as np
import pytest

from twosome import UserError, check_env
from twosome.envs import InWords
from twosome.envs.vector import Player

LAKE = ("go to the left", "go down", "go to the right", "go up")


def lake(slippery=True, **options):
    env = gymnasium.make("FrozenLake-v1", is_slippery=slippery, max_episode_steps=6)
    return InWords(env, LAKE, lambda obs, info, env: f"You are in cell {obs} of {env.nrow} rows. You should", **options)


def cart(**options):
    env = gymnasium.make("CartPole-v1", max_episode_steps=30)
    return InWords(env, ("push left", "push right"), lambda obs, info, env: "The pole leans. You should", **options)


def taxi():
    env = gymnasium.make("Taxi-v4")
    words = ("drive south", "drive north", "drive east", "drive west", "take the passenger in", "let the passenger out")
    may = {"admissible": lambda obs, info, env: np.flatnonzero(info["action_mask"])}
    return InWords(env, words, lambda obs, info, env: f"Situation {obs}. You should", **may)


def blackjack():
    def said(obs, info, env):
        return f"You have {obs[0]}, the dealer {obs[1]}. You should"

    return InWords(gymnasium.make("Blackjack-v1"), ("stop", "take a card"), said, reward_threshold=1)


MADE = {"lake": lake, "cart": cart, "taxi": taxi, "blackjack": blackjack}


@pytest.mark.parametrize("name", MADE)
def test_gymnasiums_environments_keep_the_contract(name):
    check_env(MADE[name](), steps=100)


def test_a_decision_is_a_step_of_the_wrapped_environment():
    env, bare = lake(), gymnasium.make("FrozenLake-v1", max_episode_steps=6)
    vector, info = env.reset(seed=3)
    at, _ = bare.reset(seed=3)  # a seed means the same
    for number in range(1, 7):
        assert (vector.tolist(), vector.dtype) == (np.eye(16)[at].tolist(), np.float32)
        assert info["prompt"] == f"You are in cell {at} of 4 rows. You should"
        assert (info["action_ids"], info["action_prompts"]) == ((0, 1, 2, 3), LAKE)
        vector, reward, terminated, truncated, info = env.step(np.int64(number % 4))
        at, *rest = bare.step(number % 4)
        assert [reward, terminated, truncated] == [*rest[:2], rest[2] and not rest[1]]
        assert (info["duration"], info["primitive_steps"], info["prob"]) == (1, number, rest[3]["prob"])
        if terminated:
            break


def test_the_time_limit_of_the_registry_truncates_and_a_resumed_episode_counts_on():
    env, other = lake(slippery=False), lake(slippery=False)
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(6)] == [(False, False)] * 5 + [(False, True)]
    player, resumed = Player(env, 1.0), Player(other, 1.0)
    player.reset(1)
    for _ in range(4):
        player.step(0)
    resumed.restore(player.state())
    assert [resumed.step(0).truncated for _ in range(2)] == [player.step(0).truncated for _ in range(2)] == [False, True]


class Toy(gymnasium.Env):
    """A number from a generator of its own, which reset() seeds or not."""

    observation_space, action_space = gymnasium.spaces.Box(0, 1, (1,)), gymnasium.spaces.Discrete(2)
    draws = np.random.default_rng(5)
    seeded = True

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.seeded and seed is not None:
            self.draws = np.random.default_rng(seed)
        self.info = {}
        return self._obs(), self.info

    def _obs(self):
        return self.draws.random(1).astype(np.float32)

    def step(self, action):
        return self._obs(), 1.0, action == 1, True, self.info


class Unseeded(Toy):
    seeded = False


def toy(env=None, **options):
    return InWords(env or Toy(), ("stay", "leave"), lambda obs, info, env: f"You see {obs[0]:.3f}. You should", **options)


def test_a_generator_of_its_own_works_where_reset_seeds_it_and_is_found_where_not():
    check_env(toy(reward_threshold=1), steps=50)
    with pytest.raises(UserError, match=r"env\.id=Unseeded: the same seed and actions gave .* draw all random numbers"):
        check_env(toy(Unseeded(), reward_threshold=1))
    episodes = [Player(toy(reward_threshold=1), 1.0) for _ in range(2)]
    seen = [[player.reset(7).prompt, *(player.reset().prompt for _ in range(3))] for player in episodes]
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 4


def test_success_is_what_info_says_or_enough_reward():
    env = toy(reward_threshold=1)
    env.reset(seed=0)
    *_, terminated, truncated, info = env.step(1)
    assert (terminated, truncated, info["success"]) == (True, False, True)  # both: it ended by itself
    env.unwrapped.info = {"is_success": False}
    assert not env.step(1)[4]["success"]
    env.unwrapped.info = {"success": np.bool_(True)}
    assert env.step(1)[4]["success"] is True
    with pytest.raises(UserError, match="reward_threshold=None: expected a number, since info has none of is_success, success"):
        check_env(toy())
    fallen, stands = cart(), cart(reward_threshold=20)
    for env, success in ((fallen, False), (stands, True)):
        (obs, _), ended = env.reset(seed=0), False
        while not ended:
            obs, _, terminated, truncated, info = env.step(int(obs[2] + obs[3] > 0))
            ended = terminated or truncated
            assert info["success"] == (ended and success)  # CartPole's own threshold is 475


def test_each_action_needs_a_text():
    with pytest.raises(UserError, match=r"actions: 1 texts; expected one for each action of Discrete\(2\), a Discrete"):
        InWords(Toy(), ("stay",), lambda obs, info, env: "You should")


def test_flatten_gets_the_observation_its_info_and_the_environment():
    env = lake(flatten=lambda obs, info, env: (*divmod(obs, env.ncol), info["prob"]))
    assert env.reset(seed=0)[0].tolist() == [0, 0, 1]
    assert env.observation_space.shape == (3,)
