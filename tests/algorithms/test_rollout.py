"""A rollout becomes a batch: which value follows which decision, within and at the end of episodes."""

import numpy as np
import pytest
import torch

from twosome.algorithms.rollout import Rollout
from twosome.decision import Decision
from twosome.envs.vector import Step


def worth(value: float) -> Decision:
    """A decision that the critic below values so."""
    return Decision(np.array([value], dtype=np.float32), "p", (0,), ("a",))


def values_of(decisions: list[Decision]) -> torch.Tensor:
    return torch.tensor([float(decision.obs[0]) for decision in decisions])


@pytest.mark.parametrize(
    ("terminated", "bootstrap", "final_counts"),
    [(False, True, True), (False, False, False), (True, True, False)],
)
@pytest.mark.parametrize("both", [False, True])
def test_values_follow_their_own_episode(terminated: bool, bootstrap: bool, final_counts: bool, both: bool) -> None:
    """Environment 0 ends in its first step, environment 1 never; both: the end is a termination and a truncation."""

    def step(next_values: list[float], rewards: list[float], ends: bool, final: dict[int, Decision]) -> Step:
        ended = np.array([ends, False])
        truncated = ended & (not terminated or both)
        return Step([worth(value) for value in next_values], np.array(rewards), np.array([1, 2]), np.array([1, 2]),
                    ended & terminated, truncated, np.zeros(2, dtype=bool), final, [])  # fmt: skip

    rollout = Rollout()
    one = torch.zeros(2, dtype=torch.long)
    rollout.decisions = [[worth(1), worth(2)], [worth(4), worth(8)]]
    rollout.choices, rollout.logprobs = [one, one], [torch.tensor([-1.0, -2.0]), torch.tensor([-3.0, -4.0])]
    rollout.steps = [step([4, 8], [10, 20], True, {0: worth(100)}), step([16, 32], [30, 40], False, {})]
    batch = rollout.finish(values_of, 0.5, 1.0, bootstrap)
    assert [decision.obs[0] for decision in batch.decisions] == [1, 2, 4, 8]  # step by step: step * num_envs + env
    assert batch.values.tolist() == [1, 2, 4, 8]
    assert batch.logprobs.tolist() == [-1, -2, -3, -4]
    first = 10 + 0.5 * (100 if final_counts else 0)  # whatever the next episode brings
    # environment 1, in steps of duration 2: 20 + 0.25 * (40 + 0.25 * 32), lambda being 1
    assert batch.returns.tolist() == [first, 32, 30 + 0.5 * 16, 48]
    assert torch.equal(batch.advantages, batch.returns - batch.values)
