"""Two processes that share the work of one, checked against one that does it all: ``python tests/distributed/pair.py``."""

import os
import socket
import sys
from collections import Counter
from functools import partial

import numpy as np
import torch

from twosome.distributed.config import FSDPConfig
from twosome.distributed.processes import Processes, RankInfo, process_group
from twosome.distributed.sharded import IDLE_TEXT, ShardedEnvs, ShardedScorer, load_sharded_engine
from twosome.envs.babyai_text.env import BabyAITextEnv
from twosome.envs.overcooked.env import OvercookedEnv
from twosome.envs.vector import DecisionEnvs, Step
from twosome.language.config import ModelConfig
from twosome.language.engines import Auto
from twosome.language.lora import Lora
from twosome.language.norms import word
from twosome.language.scorer import Scorer
from twosome.language.tiny import ARCHITECTURES
from twosome.policies.agent import load_engine

SIZE = 2
PLACES = ("kitchen", "garden", "hall", "dark and cold cellar behind the old house", "attic")
TEXTS = [
    (f"You are in the {place} with {number} tomatoes and you want a salad, so you should first", ("pick up the knife", *actions))
    for place in PLACES
    for number, actions in enumerate([("wait",), ("open the door", "go to the counter"), ()])
]
PROMPTS = [prompt for prompt, _ in TEXTS]


def moved(scorer: Scorer) -> Scorer:
    """With an adapter that does something: a new one's B is zero."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in scorer.lm.model.named_parameters():
            if "lora_B" in name:
                weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return scorer


def gradients(scorer: Scorer, factors: torch.Tensor) -> list[torch.Tensor]:
    """Of a loss that weighs each action of each decision by a factor, the gradients of the adapter."""
    covered: Counter[int] = Counter()
    for indices, scores in scorer.batches(TEXTS):
        log_policy = scores.log_policy()
        (log_policy.clamp(min=-1e3) * factors[indices, : log_policy.shape[1]]).sum().backward()
        covered.update(indices)
    assert covered == Counter(range(len(TEXTS)))
    found = [parameter.grad for parameter in scorer.lm.model.parameters() if parameter.requires_grad]
    assert all(gradient is not None for gradient in found)
    return found


def gradients_of_states(scorer: Scorer) -> list[torch.Tensor]:
    """Of a loss of the prompts' states, the gradients of the adapter where they are not 0."""
    for parameter in scorer.lm.learned():
        parameter.grad = None
    weights = torch.randn(len(PROMPTS), scorer.hidden_size, generator=torch.Generator().manual_seed(7))
    for indices, states in scorer.states(PROMPTS):
        (states * weights[indices]).sum().backward()
    return [parameter.grad for parameter in scorer.lm.learned() if parameter.grad is not None and parameter.grad.any()]


def counted(scorer: ShardedScorer) -> list[object]:
    """The decisions that this process scores from now on."""
    scored: list[object] = []
    score = scorer._scores

    def counting(rows, texts, tokenized):
        scored.extend(texts[index] for row in rows for index in row.decisions)
        return score(rows, texts, tokenized)

    scorer._scores = counting
    return scored


def check_scores(processes: Processes) -> None:
    """Scores, features and gradients of each architecture; who computes what, and who holds which weights."""
    idle = 0
    for architecture in ARCHITECTURES:
        config = ModelConfig(source="tiny_random", architecture=architecture, packed_weights=False)
        engine = {"row_tokens": 40, "batch_tokens": 60}
        alone = moved(load_engine(config, Lora(), word, Auto(**engine)))
        whole = {name: weight.numel() for name, weight in alone.lm.model.named_parameters()}
        shared = moved(load_sharded_engine(config, Lora(), word, Auto(**engine), processes=processes))
        alone.token_states = shared.token_states = architecture == "llama"
        scored = counted(shared)
        for plain, split in zip(alone.score(TEXTS), shared.score(TEXTS), strict=True):
            torch.testing.assert_close(split, plain, rtol=1e-5, atol=1e-5, equal_nan=True)
        torch.testing.assert_close(shared.features(PROMPTS), alone.features(PROMPTS), rtol=1e-5, atol=1e-5)
        by_both = Counter(text for part in processes.all_gather_object(scored) for text in part)
        idle += by_both.pop(IDLE_TEXT, 0)
        assert by_both == Counter(TEXTS), "each decision is scored once, by one process"
        factors = torch.randn(len(TEXTS), 3, generator=torch.Generator().manual_seed(6))
        for plain, split in zip(gradients(alone, factors), gradients(shared, factors), strict=True):
            torch.testing.assert_close(split, plain, rtol=1e-4, atol=1e-5)
        by_states = gradients_of_states(alone), gradients_of_states(shared)
        assert by_states[0], "no gradient"
        for plain, split in zip(*by_states, strict=True):
            torch.testing.assert_close(split, plain, rtol=1e-4, atol=1e-5)
        assert all(torch.equal(*processes.all_gather_object(parameter.detach())) for parameter in shared.learned)
        sharded = {name: w.to_local().numel() for name, w in shared.lm.model.named_parameters() if hasattr(w, "to_local")}
        for name in sharded:
            assert sum(part[name] for part in processes.all_gather_object(sharded)) == whole[name]
        assert sum(sharded.values()) < 0.6 * sum(whole[name] for name in sharded)
        kept = whole.keys() - sharded.keys()
        assert all("lora" in name or "embed" in name or "wte" in name for name in kept), kept
    assert idle, "no process ever had nothing to do: the check does not cover that"


def check_envs(processes: Processes, alike: int) -> None:
    """Environments that are no multiple of the processes: what they return, and that they can be put back.

    alike: episodes that start from the same seed."""
    make_env = partial(OvercookedEnv, task="tomato_salad", max_primitive_steps=30)
    alone, shared = DecisionEnvs(make_env, 5), ShardedEnvs(make_env, 5, 1.0, processes)
    assert len(shared.players) in (2, 3)
    same_decisions(alone.reset(7, alike), decisions := shared.reset(7, alike))
    choices = np.random.default_rng(processes.world_size)
    ended = 0
    for number in range(60):
        action_ids = [int(choices.choice(decision.action_ids)) for decision in decisions]
        expected, found = alone.step(action_ids), shared.step(action_ids)
        same_decisions(expected.decisions, found.decisions)
        for name in Step._fields[1:-2]:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert expected.final.keys() == found.final.keys()
        assert expected.episodes == found.episodes
        assert alone.order == shared.order
        same_decisions(list(expected.final.values()), list(found.final.values()))
        ended += len(found.final)
        decisions = found.decisions
        if number == 20:
            assert alone.state() == shared.state()
            same_decisions(decisions, decisions := shared.restore(shared.state()))
    assert ended


def check_demonstrations(processes: Processes) -> None:
    """Of environments that some process has, in the middle of a run."""
    make_env = partial(BabyAITextEnv, "go_to_local", room_size=5, num_objects=1)
    alone, shared = DecisionEnvs(make_env, 5), ShardedEnvs(make_env, 5, 1.0, processes)
    alone.reset(7)
    shared.reset(7)
    for wanted in ([0, 1, 2, 3, 4], [3], [1, 4], []):
        expected = alone.demonstrations(wanted)
        assert expected.keys() == set(wanted)
        assert all(expected.values())
        assert shared.demonstrations(wanted) == expected
        alone.step([0] * 5)
        shared.step([0] * 5, list("abcde"))
    assert [decision.memory for decision in shared.restore(shared.state())] == list("abcde")


def same_decisions(expected: list, found: list) -> None:
    """Decisions hold arrays, which == does not compare."""
    assert [one[1:] for one in found] == [one[1:] for one in expected]
    np.testing.assert_array_equal([one.obs for one in found], [one.obs for one in expected])


def main() -> int:
    """Fork the processes; returns how many failed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(SIZE):
        if not (pid := os.fork()):
            with process_group(FSDPConfig("cpu", SIZE, 1, "fsdp", 60), RankInfo(rank, rank, SIZE, port=port)) as processes:
                check_envs(processes, alike=1)
                check_envs(processes, alike=2)
                check_demonstrations(processes)
                check_scores(processes)
            os._exit(0)
        children.append(pid)
    return sum(os.waitpid(pid, 0)[1] != 0 for pid in children)


if __name__ == "__main__":
    sys.exit(main())
