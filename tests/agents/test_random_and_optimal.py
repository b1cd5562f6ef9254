"""Random play and the best play."""

from functools import partial

import gymnasium
import numpy as np
import pytest
import torch

from twosome.agents import bounds
from twosome.agents.agent import AgentContext, likeliest
from twosome.decision import Decision
from twosome.envs.optimum import Transition
from twosome.errors import UserError
from twosome.evaluation.episodes import play, summarize
from twosome.language import norms
from twosome.language.loading import ModelConfig


def context(make_env, seed=0, gamma=0.99):
    return AgentContext(
        make_env,
        ModelConfig(source="tiny_random"),
        norms.word,
        seed,
        gamma,
    )


def overcooked(**options):
    return partial(gymnasium.make, "twosome/Overcooked-v0", **options)


def decision(*action_ids, **fields):
    words = tuple(f"do {action}" for action in action_ids)
    return Decision(np.zeros(1, dtype=np.float32), "You should first", action_ids, words, **fields)


class Twins(gymnasium.Env):
    """Two states that look the same; going on from the first needs action 3, from the second action 5."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(6)
    initial_states = ((1.0, "first"),)
    names_state = True

    def admissible(self, state):
        return (3, 5)

    def transition(self, state, action):
        if (state, action) == ("first", 3):
            return Transition("second", 0.0, 1, False)
        return Transition("end", float((state, action) == ("second", 5)), 1, True)

    def reset(self, *, seed=None, options=None):
        self.state, self.steps = "first", 0
        return np.zeros(1, dtype=np.float32), self.info(0)

    def step(self, action):
        self.steps += 1
        self.state, reward, _, terminated = self.transition(self.state, int(action))
        return np.zeros(1, dtype=np.float32), reward, terminated, False, self.info(1, reward == 1.0)

    def info(self, duration, success=False):
        words = {"prompt": "You should first", "action_ids": (3, 5), "action_prompts": ("go", "stop")}
        fields = {"state": self.state} if self.names_state else {}
        return {**words, **fields, "duration": duration, "primitive_steps": self.steps, "success": success}


class Nameless(Twins):
    names_state = False


def test_random_play_is_uniform_over_each_decisions_own_actions():
    decisions = [decision(0, 1, 2), decision(4), decision(1, 3)]
    shares = bounds.random(context(Twins)).log_policy(decisions).exp()
    assert shares == pytest.approx(torch.tensor([[1 / 3] * 3, [1, 0, 0], [0.5, 0.5, 0]]))
    assert bounds.random(context(Twins)).log_policy(decisions).isfinite().all()


def test_the_likeliest_is_drawn_from_equals_only():
    generator = torch.Generator().manual_seed(0)
    rows = torch.log(torch.tensor([[0.4, 0.2, 0.4], [0.1, 0.8, 0.1]])).repeat(200, 1)
    drawn = likeliest(rows, generator)
    assert drawn[1::2].tolist() == [1] * 200
    assert 60 < drawn[::2].eq(2).sum() < 140
    assert set(drawn[::2].tolist()) == {0, 2}


@pytest.mark.parametrize(("task", "best"), [("tomato_salad", 0.920518), ("tomato_lettuce_salad", 0.947656)])
@pytest.mark.parametrize("greedy", [True, False])
def test_the_best_play_earns_the_optimum(task, best, greedy):
    make_env = overcooked(task=task)
    result = summarize(play(bounds.optimal(context(make_env)), make_env, 3, 0.99, 0, greedy))
    assert result["return_mean"] == pytest.approx(best, abs=1e-6)
    assert (result["return_std"], result["success_rate"]) == (pytest.approx(0.0), 1.0)


def test_the_best_play_knows_states_apart_that_look_the_same():
    assert summarize(play(bounds.optimal(context(Twins)), Twins, 2, 0.5, 0, True))["return_mean"] == 0.5


@pytest.mark.parametrize(
    ("make_env", "said"), [(partial(gymnasium.make, "CartPole-v1"), "not Searchable"), (Nameless, "info['state']")]
)
def test_an_environment_that_cannot_be_searched_is_one_line(make_env, said):
    with pytest.raises(UserError, match=r"^baseline=optimal: expected .*choose another baseline$") as error:
        bounds.optimal(context(make_env))
    assert said in str(error.value)
