"""PPO with a memory: memories, sequences and gradients against a computation decision by decision."""

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ppo_options import config
from seeded import assert_drawn_from_the_seed

from twosome.agents import symbolic
from twosome.agents.agent import AgentContext
from twosome.agents.film_lstm import SIZE, FilmLSTM
from twosome.algorithms.algorithm import EnvRunner, Progress
from twosome.algorithms.ppo import PPO, Minibatch, PPOConfig, RecurrentBatch
from twosome.algorithms.rollout import Rollout
from twosome.decision import Decision
from twosome.envs.babyai_text.env import BabyAITextEnv
from twosome.envs.overcooked.env import OvercookedEnv
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.evaluation.episodes import play
from twosome.language.loading import ModelConfig
from twosome.language.norms import word

STEPS, ENVS, LENGTH = 12, 3, 5
ZERO = tuple(f"{layer}.bias" for layer in ("scale", "shift", "actor.0", "actor.2", "critic.0", "critic.2"))


def make_env() -> BabyAITextEnv:
    return BabyAITextEnv("go_to_local", room_size=5, num_objects=2)  # short episodes


def build(seed: int = 0, env: Any = make_env, **options: Any) -> Any:
    options = {"network": "film_lstm", "recurrence": LENGTH} | options
    return symbolic.build(AgentContext(env, ModelConfig(device="cpu"), word, seed, 0.99), [8], **options)


def settings(**options: Any) -> PPOConfig:
    own = {"learning_rate": 1e-3, "value_learning_rate": 1e-3, "norm_adv": False, "num_envs": ENVS, "num_steps": STEPS}
    return config(**{**own, **options})


def collected(agent: FilmLSTM, **options: Any) -> tuple[PPO, EnvRunner, RecurrentBatch]:
    algorithm = PPO(settings(**options))
    runner = EnvRunner(DecisionEnvs(make_env, ENVS, 0.99), seed=1)
    for _ in range(2):  # so that the rollout begins within episodes
        with torch.no_grad():
            agent.begin_rollout()
            batch = algorithm.collect(agent, runner, torch.Generator().manual_seed(2))
    return algorithm, runner, batch


def step_by_step(agent: FilmLSTM, decision: Decision, memory: tuple) -> tuple[torch.Tensor, torch.Tensor, tuple]:
    """One decision alone: log-policy, value and the memory after it, by the layers' definitions."""
    pixels = decision.obs[:147].reshape(7, 7, 3) / np.tile([10, 5, 2], 49).reshape(7, 7, 3).astype(np.float32)
    words = [int(code) for code in decision.obs[147:] if code]
    mission = agent.mission(agent.embedding(torch.tensor([words])))[1][0]
    image = torch.tensor(pixels).permute(2, 0, 1)[None]
    for layer in agent.convolutions:
        image = torch.nn.functional.max_pool2d(layer(image).relu(), 2)
    for film in agent.films:
        image = film.second(film.first(image).relu())
        image = (image * (1 + film.scale(mission)).view(1, -1, 1, 1) + film.shift(mission).view(1, -1, 1, 1)).relu()
    memory = agent.memory(image.amax((2, 3)), memory)
    return agent.actor(memory[0]).log_softmax(1)[0], agent.critic(memory[0])[0, 0], memory


def nothing() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, SIZE), torch.zeros(1, SIZE)


@pytest.fixture(scope="module")
def rollout() -> tuple[FilmLSTM, RecurrentBatch]:
    agent = build()
    return agent, collected(agent)[2]


def test_the_memory_of_a_decision_is_that_of_its_episode_from_the_start() -> None:
    agent, envs = build(), DecisionEnvs(make_env, ENVS, 0.99)
    runner, memories, ended = EnvRunner(envs, seed=3), [nothing()] * ENVS, 0
    with torch.no_grad():
        for step in range(60):
            decisions = runner.decisions
            policy = agent.log_policy(decisions)
            for env, decision in enumerate(decisions):
                if decision.memory is not None:
                    torch.testing.assert_close(decision.memory, torch.cat(memories[env]), atol=1e-5, rtol=0)
                expected, value, memories[env] = step_by_step(agent, decision, memories[env])
                torch.testing.assert_close(policy[env], expected, atol=1e-5, rtol=0)
                torch.testing.assert_close(agent.values([decision])[0], value, atol=1e-5, rtol=0)
            taken = runner.step([(step * (env + 1)) % 3 for env in range(ENVS)], agent.remember(decisions))
            for env, final in taken.final.items():
                torch.testing.assert_close(final.memory, torch.cat(memories[env]), atol=1e-5, rtol=0)
                assert taken.decisions[env].memory is None
                memories[env], ended = nothing(), ended + 1
    assert ended > 3


def test_sequences_end_with_episodes_and_cover_each_sample_once() -> None:
    ends = [[False, True], [False, False], [True, False], [False, False]]
    steps = [SimpleNamespace(terminated=row, truncated=[False, False]) for row in ends]
    rollout = Rollout(decisions=[[None, None]] * 4, steps=steps)
    assert rollout.sequences(2) == [[0, 2], [4], [6], [1], [3, 5], [7]]
    assert rollout.sequences(9) == [[0, 2, 4], [6], [1], [3, 5, 7]]


def test_gradients_flow_through_a_sequence_as_decision_by_decision(rollout: tuple[FilmLSTM, RecurrentBatch]) -> None:
    """A loss of policies and values, with random weights, and the gradient of each weight of the network."""
    agent, batch = rollout
    assert any(batch.decisions[sequence[0]].memory is not None for sequence in batch.sequences)
    assert len({len(sequence) for sequence in batch.sequences}) > 1
    generator = torch.Generator().manual_seed(4)
    weights = torch.randn(len(batch.decisions), 7, generator=generator)
    agent.zero_grad()
    covered: list[int] = []
    for members, found in PPO(settings()).evaluate(agent, batch, torch.arange(len(batch.decisions))):
        covered += members
        taken = found.log_policy.gather(1, batch.choices[members, None])[:, 0]
        torch.testing.assert_close(taken, batch.logprobs[members], atol=1e-5, rtol=0)
        torch.testing.assert_close(found.values, batch.values[members], atol=1e-5, rtol=0)
        ((found.log_policy * weights[members, :6]).sum() + (found.values * weights[members, 6]).sum()).backward()
    assert sorted(covered) == list(range(len(batch.decisions)))
    found_gradients = {name: parameter.grad.clone() for name, parameter in agent.named_parameters()}
    agent.zero_grad()
    for sequence in batch.sequences:
        first = batch.decisions[sequence[0]].memory
        memory = nothing() if first is None else (first[:1], first[1:])
        for sample in sequence:
            policy, value, memory = step_by_step(agent, batch.decisions[sample], memory)
            ((policy * weights[sample, :6]).sum() + value * weights[sample, 6]).backward(retain_graph=True)
    for name, parameter in agent.named_parameters():
        assert parameter.grad.norm() > 0, name
        assert (found_gradients[name] - parameter.grad).norm() <= 1e-3 * parameter.grad.norm(), name


def test_minibatches_are_whole_sequences(rollout: tuple[FilmLSTM, RecurrentBatch]) -> None:
    algorithm = PPO(settings(num_minibatches=3))
    parts = algorithm.minibatches(*rollout, algorithm.targets(*rollout), torch.Generator().manual_seed(0))
    assert sorted(torch.cat(parts).tolist()) == list(range(STEPS * ENVS))
    for part in parts:
        own = set(part.tolist())
        assert all(set(sequence) <= own or not set(sequence) & own for sequence in rollout[1].sequences)
        assert abs(len(part) - STEPS * ENVS / 3) <= LENGTH


def test_an_update_starts_from_ratio_one_and_learns() -> None:
    agent = build()
    algorithm, _, batch = collected(agent, num_minibatches=2, update_epochs=2)
    (optimizer,) = algorithm.optimizers(agent)
    before = {name: weight.clone() for name, weight in agent.named_parameters()}
    metrics = algorithm.update(agent, batch, [optimizer], Progress(0, 2), torch.Generator().manual_seed(0))
    assert metrics["policy_steps"] == 4
    assert metrics["approx_kl"] < 1
    assert all(not torch.equal(weight, before[name]) for name, weight in agent.named_parameters())
    fresh = build()
    once, _, batch = collected(fresh)
    first = once.update(fresh, batch, once.optimizers(fresh), Progress(0, 2), torch.Generator())
    assert first["approx_kl"] == pytest.approx(0, abs=1e-6)


def test_a_runner_goes_on_from_its_state_with_the_same_memories() -> None:
    agent = build()
    _, runner, _ = collected(agent)
    file = io.BytesIO()
    torch.save(runner.state_dict(), file)
    again = EnvRunner(DecisionEnvs(make_env, ENVS, 0.99), seed=9)
    again.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert any(decision.memory is not None for decision in runner.decisions)
    assert torch.equal(agent.log_policy(again.decisions), agent.log_policy(runner.decisions))
    without = [decision._replace(memory=None) for decision in again.decisions]
    assert not torch.equal(agent.log_policy(without), agent.log_policy(again.decisions))


def test_episodes_are_played_with_memory_and_weights_come_from_the_seed(tmp_path) -> None:
    assert_drawn_from_the_seed(build, (*ZERO, "1.weight", "1.bias"))
    agent, seen = build(), []
    advance = agent._advance
    agent._advance = lambda encoded, memory: seen.append(memory[0].abs().sum(dim=1)) or advance(encoded, memory)
    play(agent, make_env, 2, 0.99, 0, greedy=False)
    assert not seen[0].any()
    assert all(each.all() for each in seen[1:3])
    agent.export(tmp_path / "policy")
    other = build(seed=5)
    other.load(tmp_path / "policy")
    decisions = EnvRunner(DecisionEnvs(make_env, 2, 0.99), 0).decisions
    assert torch.equal(other.log_policy(decisions), agent.log_policy(decisions))


def test_what_the_network_cannot_read_is_one_line() -> None:
    with pytest.raises(UserError, match=r"baseline\.network=film_lstm: expected an environment whose observation is"):
        build(env=OvercookedEnv)
    with pytest.raises(UserError, match=r"baseline\.network=lstm: expected film_lstm, or null for an MLP"):
        build(network="lstm")
    with pytest.raises(UserError, match=r"baseline\.recurrence=1: expected a number of decisions from 2"):
        build(recurrence=1)
    with pytest.raises(UserError, match=r"algorithm\.minibatch=decisions: expected samples for an agent with memory"):
        PPO(settings(minibatch=Minibatch.decisions)).check(build())
    assert build(network=None).recurrence == 1
