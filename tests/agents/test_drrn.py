"""The DRRN agent: each decision by itself, words told apart, weights from the seed alone."""

import numpy as np
import pytest
import torch

from twosome.agents import drrn
from twosome.agents.agent import AgentContext
from twosome.agents.drrn import DRRN, DRRNConfig, build
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.language.loading import ModelConfig
from twosome.language.norms import word

OPTIONS = {"temperature": 0.5, "buckets": 64, "embedding_size": 8, "hidden_size": 8}
TEXTS = [
    ("You see the tomato.", ("pick up the tomato", "chop")),
    ("You see the tomato on the board, and a bowl beside it", ("chop", "pick up the tomato", "go left")),
    ("You", ("wait",)),
    ("You see the tomato.", ("pick up the tomato", "chop")),
]


def agent(seed=0, **options):
    made = DRRN(DRRNConfig(**OPTIONS | options), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        made.output.weight.mul_(10)  # so that policies differ
    return made


def decisions(texts=TEXTS):
    return [Decision(np.zeros(1, np.float32), prompt, tuple(range(len(own))), own) for prompt, own in texts]


def by_hand(made, prompt, action):
    """Q of one prompt and action, word by word."""
    states = []
    for gru, text in ((made.prompt_gru, prompt), (made.action_gru, action)):
        rows = made._numbers(text)
        states.append(gru(made.embedding(rows).sum(dim=1)[None])[1].flatten())
    return made.output(torch.relu(made.hidden(torch.cat(states)))).item()


@pytest.mark.parametrize("part_words", [1, 20, 2**15])
def test_values_and_policy_are_those_of_each_decision_by_itself(part_words, monkeypatch):
    monkeypatch.setattr(drrn, "PART_WORDS", part_words)
    made, given = agent(), decisions()
    met = []
    for members, found in made.evaluate(given):
        met += members
        for row, index in enumerate(members):
            prompt, own = TEXTS[index]
            q = torch.tensor([by_hand(made, prompt, action) for action in own])
            torch.testing.assert_close(found.action_values[row, : len(own)], q)
            policy = torch.softmax(q / 0.5, dim=0)
            torch.testing.assert_close(found.log_policy[row].exp()[: len(own)], policy)
            assert not found.log_policy[row].exp()[len(own) :].any()
            torch.testing.assert_close(found.values[row], (policy * q).sum())
    assert sorted(met) == [0, 1, 2, 3]
    acting = made.log_policy(given)
    assert acting.shape == (4, 3)
    assert torch.equal(acting[0], acting[3])
    values = made.values(given)
    torch.testing.assert_close(values[2].item(), by_hand(made, *("You", "wait")))


def test_words_that_share_a_bucket_are_told_apart():
    made = agent(buckets=16)
    pairs = {
        tuple(map(tuple, made._numbers(name).tolist()))
        for name in ["tomato", "bowl", "lettuce", "onion", "board", "left", "right", "chop"]
    }
    assert len(pairs) == 8
    assert len({pair[0][0] for pair in pairs}) < 8
    assert made._numbers("chop, chop").tolist()[0] == made._numbers("chop").tolist()[0]


def test_it_has_a_million_weights_as_in_glam_and_loads_no_language_model(monkeypatch):
    monkeypatch.setattr("twosome.language.loading.load_language_model", pytest.fail)
    context = AgentContext(pytest.fail, ModelConfig(source="hf", path="nowhere", device="cpu"), word, 0, 0.99)
    made = build(context, temperature=1.0, buckets=8192, embedding_size=128, hidden_size=128)
    assert 1.2e6 < sum(parameter.numel() for parameter in made.parameters()) < 1.4e6


def test_what_was_exported_can_be_loaded(tmp_path):
    first, second = agent(seed=1), agent(seed=2)
    first.export(tmp_path / "policy")
    second.load(tmp_path / "policy")
    assert torch.equal(first.log_policy(decisions()), second.log_policy(decisions()))
    with pytest.raises(UserError, match="other names or shapes"):
        agent(buckets=32).load(tmp_path / "policy")
