"""GRPO and GiGPO: groups that begin alike, each learned from once, and advantages against a plain computation."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from episode_tools import CLIPPED, GAMMA, Stairs, agent, runner

from twosome.algorithms.algorithm import EnvRunner, Progress, Sources
from twosome.algorithms.grpo import GRPO, GRPOConfig
from twosome.algorithms.reinforce import EpisodeBatch, Played
from twosome.decision import Decision
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError


def grpo(group_size: int = 2, situation_weight: float = 0.0, **options: Any) -> GRPO:
    own = {"group_size": group_size, "situation_weight": situation_weight}
    return GRPO(GRPOConfig(**{**CLIPPED, **own, **options}))


def played(*steps: tuple[float, float, int], start: int = 0) -> Played:
    """An episode of steps (situation, reward, duration)."""
    decisions = [Decision(np.array([place], dtype=np.float32), "p", (0, 1), ("a", "b")) for place, _, _ in steps]
    rewards, durations = [reward for _, reward, _ in steps], [duration for _, _, duration in steps]
    return Played(start, decisions, [0] * len(steps), [0.0] * len(steps), rewards, durations)


def test_episodes_in_a_row_begin_alike_in_whatever_environments() -> None:
    envs = DecisionEnvs(Stairs, 3)
    begun = defaultdict(list)  # place in the order -> the number of stairs
    envs.reset(5, alike=4)
    assert envs.order == [0, 1, 2]
    for _ in range(40):
        for player, place in zip(envs.players, envs.order, strict=True):
            if player.episode.decisions == 0:
                begun[place].append(player.env.unwrapped.stairs)
        envs.step([0, 1, 0])
    places = sorted(begun)
    assert places == list(range(len(places)))
    assert all(len(found) == 1 for found in begun.values())
    groups = [{begun[place][0] for place in places[first : first + 4]} for first in range(0, len(places), 4)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) > 2


def test_every_group_is_learned_from_once_and_whole() -> None:
    algorithm, player = grpo(group_size=3), agent()
    envs = runner(algorithm)
    taken: list[EpisodeBatch] = [algorithm.collect(player, envs, torch.Generator().manual_seed(n)) for n in range(8)]
    learned = sum(batch.episodes for batch in taken)
    assert learned % 3 == 0
    assert learned + len(algorithm.ended) == len(envs.take_episodes()) > 12
    assert len(algorithm.ended) < 6  # the last groups' only
    for batch in taken:
        starts = [place for place, one in enumerate(batch.decisions) if place == 0 or batch.decisions[place - 1].obs[0] == 1]
        assert len(starts) == batch.episodes
        heights = [int(batch.decisions[place].obs[0]) for place in starts]
        for first in range(0, len(starts), 3):
            assert len(set(heights[first : first + 3])) == 1
            own = [float(batch.returns[place]) for place in starts[first : first + 3]]
            expected = [0.0] * 3 if len(set(own)) == 1 else (np.array(own) - np.mean(own)) / (np.std(own, ddof=1) + 1e-8)
            np.testing.assert_allclose(
                [float(batch.advantages[place]) for place in starts[first : first + 3]], expected, atol=1e-4
            )


@pytest.mark.parametrize("norm_adv", [False, True])
def test_advantages_are_those_of_the_definition(norm_adv: bool) -> None:
    algorithm = grpo(group_size=3, situation_weight=0.5, norm_adv=norm_adv)
    group = [played((1, 0, 1), (2, 1, 2), (1, 4, 1)), played((1, 2, 2)), played((1, 0, 1), (3, 8, 1))]
    following = [[0 + 0.5 * (1 + 0.25 * 4), 1 + 0.25 * 4, 4], [2], [0.5 * 8, 8]]

    def norm(values: list[float]) -> np.ndarray:
        centred = np.array(values) - np.mean(values)
        return centred / np.std(values, ddof=1) if norm_adv else centred

    of_episodes = norm([1, 2, 4])
    in_one = norm([following[0][0], following[0][2], 2, 4])  # situation 1; those of 2 and 3 have a single decision
    expected = [of_episodes[0] + 0.5 * in_one[0], of_episodes[0], of_episodes[0] + 0.5 * in_one[1],
                of_episodes[1] + 0.5 * in_one[2], of_episodes[2] + 0.5 * in_one[3], of_episodes[2]]  # fmt: skip
    assert GAMMA == 0.5
    np.testing.assert_allclose(algorithm.advantages(agent(), group), expected, atol=1e-6)
    without = grpo(group_size=3, norm_adv=norm_adv).advantages(agent(), group)
    np.testing.assert_allclose(without, np.repeat(of_episodes, [3, 1, 2]), atol=1e-6)


def test_an_update_without_groups_changes_nothing_and_has_the_same_columns() -> None:
    algorithm, player = grpo(num_steps=2), agent()
    optimizers, envs = algorithm.optimizers(player), runner(algorithm)
    batches = [algorithm.collect(player, envs, torch.Generator().manual_seed(n)) for n in range(12)]
    empty, full = (next(batch for batch in batches if bool(batch.episodes) is some) for some in (False, True))
    before = [weight.detach().clone() for weight in player.parameters()]
    found = algorithm.update(player, empty, optimizers, Progress(0, 10), torch.Generator())
    assert all(torch.equal(weight, old) for weight, old in zip(player.parameters(), before, strict=True))
    learned = algorithm.update(player, full, optimizers, Progress(1, 10), torch.Generator())
    assert found.keys() == learned.keys()
    assert (found["policy_steps"], learned["policy_steps"]) == (0, 1)


def test_an_environment_that_starts_differently_from_one_seed_is_refused() -> None:
    class OwnStart(Stairs):
        env_index = 0

        def _obs(self) -> np.ndarray:
            return np.array([self.stairs + 6 * self.env_index], dtype=np.float32)

    algorithm = grpo(num_steps=20)
    envs = EnvRunner(DecisionEnvs(OwnStart, 3), 0, algorithm.group_size)
    with pytest.raises(UserError, match=r"algorithm=grpo: episodes from one seed start with '. stairs' and with '. stairs'"):
        algorithm.collect(agent(), envs, torch.Generator().manual_seed(0))


def test_environments_that_start_differently_side_by_side_are_refused_before_an_agent_is_built() -> None:
    class Mixed(Stairs):
        env_index = 0

        def _info(self, duration: int) -> dict[str, Any]:
            return super()._info(duration) | {"prompt": f"task {self.env_index // 2}"}

    sources = Sources(Mixed, 0.9, lambda path, option: agent())
    with pytest.raises(
        UserError, match="algorithm=grpo: environments 0 and 2 start from one seed with 'task 0' and with 'task 1'"
    ):
        grpo(num_envs=3).prepare(sources)
    grpo(num_envs=2).prepare(sources)
    grpo(num_envs=3).prepare(sources._replace(make_env=Stairs))
