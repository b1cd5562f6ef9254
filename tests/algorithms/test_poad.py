"""POAD against plain computations on small trees, and in its limit: with actions of one token it is PPO."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from updates import FIRST, KINDS, config
from updates import agent as language_agent

import oracle
from twosome.agents.heads import Frozen, State, ValueHead
from twosome.agents.language import LanguageAgent
from twosome.agents.tokens import TokenAgent, Tokens
from twosome.algorithms.algorithm import EnvRunner
from twosome.algorithms.poad import POAD, POADConfig, TokenBatch, TokenTargets, token_gae, token_logprobs
from twosome.algorithms.ppo import PPO, Minibatch
from twosome.algorithms.rollout import Batch, Transitions
from twosome.decision import Decision
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.language import norms
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.scorer import Scorer
from twosome.language.tuning import Lora

TREES = [kind for kind in KINDS if "go forward" not in kind[1]]  # in which no action begins with another one
WORDS = ("chop", "a", "the")  # of one token


class Words(gymnasium.Env):
    """Actions of one word; the reward is the number of the word, and an episode has four decisions of unequal length."""

    observation_space = gymnasium.spaces.Box(0, 9, (1,), dtype=np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.time, self.begin = 0, int(self.np_random.integers(3))
        return self._found(0)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.time += 1
        obs, info = self._found(1 + action)
        return obs, float(action), self.time == 4, False, info

    def _found(self, duration: int) -> tuple[np.ndarray, dict[str, Any]]:
        ids = (0, 1, 2) if self.time % 2 else (0, 2)
        info = {"prompt": f"You see {self.begin} tomatoes at {self.time} and take", "action_ids": ids,
                "action_prompts": tuple(WORDS[each] for each in ids), "duration": duration,
                "primitive_steps": self.time, "success": False}  # fmt: skip
        return np.array([self.time], dtype=np.float32), info


def head(joint: bool) -> ValueHead:
    return State(hidden_sizes=[8]) if joint else Frozen(hidden_sizes=[8])


def made(kind: type, joint: bool = False, *more: Any) -> LanguageAgent:
    """An agent of a class; equal weights at every call, with an adapter that matters."""
    model = load_language_model(ModelConfig(source="tiny_random", device="cpu"), Lora())
    found: LanguageAgent = kind(Scorer(model, norms.none), head(joint), torch.Generator().manual_seed(1), *more)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in found.engine.lm.learned():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return found


def gradients(agent: LanguageAgent) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in agent.parameters() if parameter.grad is not None])


def collected(algorithm: PPO, agent: LanguageAgent) -> Batch:
    runner = EnvRunner(DecisionEnvs(Words, algorithm.num_envs, 0.9), 0)
    with torch.no_grad():
        return algorithm.collect(agent.eval(), runner, torch.Generator().manual_seed(0))


def stale(batch: Batch) -> Batch:
    """The same as if an older policy and critic had acted."""
    noise = 0.3 * torch.randn(2, len(batch.decisions), generator=torch.Generator().manual_seed(4))
    found = replace(batch, logprobs=batch.logprobs + noise[0], values=batch.values + noise[1])
    if not isinstance(found, TokenBatch):
        return found
    tokens = found.tokens._replace(
        logprobs=found.tokens.logprobs + noise[0].unsqueeze(1), values=found.tokens.values + noise[1].unsqueeze(1)
    )
    return replace(found, tokens=tokens)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("tokens", list(Tokens))
@pytest.mark.parametrize("minibatch", list(Minibatch))
def test_with_actions_of_one_token_it_is_ppo(minibatch: Minibatch, tokens: Tokens, joint: bool) -> None:
    """With the whole vocabulary in acting and in advantages only: its ratios are not those of the policy over actions."""
    options = config(num_minibatches=2, minibatch=minibatch, gae_lambda=0.8, gamma=0.9, ent_coef=0.1, count_exponent=0.5,
                     base_kl_coef=0.1)  # fmt: skip
    algorithms = ppo, poad = PPO(options), POAD(POADConfig(**vars(options), token_lambda=0.3))
    agents = made(LanguageAgent, joint), made(TokenAgent, joint, tokens)
    batches = [collected(algorithm, agent) for algorithm, agent in zip((ppo, poad), agents, strict=True)]
    assert torch.equal(batches[0].choices, batches[1].choices)
    assert batches[0].choices.unique().tolist() == [0, 1, 2]
    for name in ("logprobs", "values", "advantages", "returns"):
        torch.testing.assert_close(getattr(batches[1], name), getattr(batches[0], name), atol=1e-5, rtol=0)
    if tokens is Tokens.vocabulary:
        return
    found = []
    for algorithm, batch, agent in zip(algorithms, map(stale, batches), agents, strict=True):
        parts = list(torch.arange(len(batch.decisions)).chunk(2))
        diagnostics = algorithm.policy_gradient(agent, batch, parts, algorithm.targets(agent, batch), FIRST)
        found.append((gradients(agent), diagnostics))
    (one, expected), (other, same) = found
    assert one.norm() > 1e-3
    torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)
    assert same == pytest.approx(expected, abs=1e-5, nan_ok=True)
    if not joint:
        critics = []
        for algorithm, batch, agent in zip(algorithms, map(stale, batches), agents, strict=True):
            optimizer = torch.optim.SGD(agent.critic.parameters(), 1.0)
            fitted = algorithm.update_critic(agent, batch, optimizer, torch.Generator().manual_seed(0))
            critics.append((fitted, torch.cat([weight.detach().flatten() for weight in agent.critic.parameters()])))
        assert critics[1][0] == pytest.approx(critics[0][0], abs=1e-5)
        torch.testing.assert_close(critics[1][1], critics[0][1], atol=1e-5, rtol=0)


def test_gae_over_tokens_is_the_recursion_over_the_chain_of_all_tokens() -> None:
    """Environment 0: two decisions of an episode, then an end, then one that goes on; environment 1: never ends."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([[2, 1], [3, 2], [1, 3]])
    mask = torch.arange(3) < lengths.unsqueeze(2)
    values = torch.randn(3, 2, 3, generator=generator) * mask
    ends = torch.tensor([[False, False], [True, False], [False, False]])
    rewards, last = torch.randn(3, 2, generator=generator), torch.randn(2, generator=generator)
    next_values = torch.stack([values[1, :, 0], torch.stack([torch.tensor(0.0), values[2, 1, 0]]), last])
    durations = torch.tensor([[1.0, 2.0], [3.0, 1.0], [2.0, 2.0]])
    transitions = Transitions(rewards, values[:, :, 0], next_values, ends, durations)
    found = token_gae(transitions, values, mask, 0.9, 0.8, 0.7)
    for env in range(2):
        chain = [(step, place) for step in range(3) for place in range(int(lengths[step, env]))]
        for first, start in enumerate(chain):
            expected, weight = 0.0, 1.0
            for step, place in chain[first:]:
                inside = place + 1 < lengths[step, env]
                discount = 1.0 if inside else 0.9 ** float(durations[step, env])
                target = values[step, env, place + 1] if inside else rewards[step, env] + discount * next_values[step, env]
                expected += weight * float(target - values[step, env, place])
                if not inside and ends[step, env]:
                    break
                weight *= 0.7 if inside else discount * 0.8
            assert float(found[start[0], env, start[1]]) == pytest.approx(expected, abs=1e-5)
    assert not found[~mask].any()


@pytest.mark.parametrize("shortest", [False, True])
@pytest.mark.parametrize("tokens", list(Tokens))
def test_the_gradient_is_that_of_a_plain_loss_over_tokens(tokens: Tokens, shortest: bool) -> None:
    """shortest: of each decision's actions the shortest one was taken, so that none in the batch is as long as some of them."""
    player = made(TokenAgent, True, tokens)
    options = config(num_envs=1, num_steps=len(TREES) * 2, num_minibatches=1, ent_coef=0.1, vf_coef=0.3)
    decisions = [Decision(np.zeros(1, dtype=np.float32), kind[0], tuple(range(len(kind[1]))), kind[1]) for kind in TREES * 2]
    choices = torch.tensor([n % len(one.action_ids) for n, one in enumerate(decisions)])
    if shortest:
        actions = player.engine.action_tokens([one.text for one in decisions])
        choices = torch.tensor([min(range(len(own)), key=lambda action, own=own: len(own[action])) for own in actions])
        assert max(len(own[choice]) for own, choice in zip(actions, choices, strict=True)) < max(map(len, sum(actions, ())))
    logprobs, mask = token_logprobs(player, decisions, choices)
    noise = torch.randn(4, *mask.shape, generator=torch.Generator().manual_seed(3)) * mask
    values = player.token_value_function(decisions, choices)(torch.arange(len(decisions)))
    targets = TokenTargets(mask, logprobs + 0.3 * noise[0], values + 0.3 * noise[1], noise[2], noise[3])
    batch = TokenBatch(decisions, choices, logprobs.sum(dim=1), *(each[:, 0] for each in targets[2:]), targets)
    algorithm = POAD(POADConfig(**vars(options), token_lambda=0.3))
    found = algorithm.policy_gradient(player, batch, [torch.arange(len(decisions))], algorithm.targets(player, batch), FIRST)

    plain = made(TokenAgent, True, tokens)
    advantages = (noise[2] - noise[2][mask].mean()) / (noise[2][mask].std() + 1e-8)
    scores = oracle.score(plain.engine, [one.text for one in decisions])
    losses, kls = [], []
    for n, one in enumerate(decisions):
        ids = plain.engine.tokenize([one.text])[0].actions
        terms = [plain_terms(scores.tokens[n], ids, action, tokens) for action in range(len(ids))]
        joint = torch.stack([scores.logprobs[n, action] if tokens is Tokens.vocabulary else sum(each)
                             for action, each in enumerate(terms)])  # fmt: skip
        policy = torch.distributions.Categorical(logits=joint)
        loss, kl = -0.1 * policy.entropy(), 0.0
        chosen = terms[int(choices[n])]
        for place, logprob in enumerate(chosen):
            ratio = (logprob - targets.logprobs[n, place]).exp()
            loss = loss - torch.min(advantages[n, place] * ratio, advantages[n, place] * ratio.clamp(0.8, 1.2))
            kl += (ratio - 1 - ratio.log()).item()
            value = plain.critic(scores.token_states[n, choices[n], place])
            clipped = targets.values[n, place] + (value - targets.values[n, place]).clamp(-0.2, 0.2)
            error = torch.max((value - targets.returns[n, place]) ** 2, (clipped - targets.returns[n, place]) ** 2)
            loss = loss + 0.3 * 0.5 * error / len(chosen)
        losses.append(loss)
        kls.append(kl)
    torch.stack(losses).mean().backward()
    expected = gradients(plain)
    assert expected.norm() > 1e-3
    assert (gradients(player) - expected).norm() <= 1e-4 * expected.norm()
    assert found["approx_kl"] == pytest.approx(np.mean(kls), abs=1e-5)


def plain_terms(own: torch.Tensor, ids: tuple[tuple[int, ...], ...], action: int, tokens: Tokens) -> list[torch.Tensor]:
    """The log-probabilities of an action's tokens. own: (actions, T), over the vocabulary. ids: of all actions."""
    terms = []
    for place in range(len(ids[action])):
        here = {each[place]: own[a, place] for a, each in enumerate(ids) if each[:place] == ids[action][:place]}
        total = torch.stack(list(here.values())).exp().sum().log() if tokens is Tokens.branches else 0.0
        terms.append(here[ids[action][place]] - total)
    return terms


def test_an_agent_without_values_of_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="algorithm=poad: expected an agent with values of tokens, such as baseline=poad"):
        POAD(POADConfig(**vars(config()), token_lambda=0.9)).check(language_agent())
