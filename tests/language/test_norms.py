"""From the probabilities of an action's tokens to its score: norms, and the three kinds of GLAM's code."""

from typing import Any

import numpy as np
import pytest
import torch
from encoder_decoder_tools import load
from scoring_tools import DECISIONS, assert_close_gradients, gradients, scorer

from twosome.errors import UserError
from twosome.language import norms
from twosome.language.cpu import packed_linear
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.engine import Engine
from twosome.language.norms import ActionScores
from twosome.language.scorer import Scorer
from twosome.language.tiny import ARCHITECTURES, ENCODER_DECODERS

TEXT = ("You should", ("take the bowl", "go"))
TEXTS = DECISIONS[:4]


@pytest.mark.parametrize("norm", [norms.none, norms.token, norms.word, lambda action, tokens: np.float32(3), lambda *_: 3])
def test_a_score_is_the_log_probability_over_the_divisor(norm) -> None:
    engine = Scorer(scorer().lm, norm)
    found = engine.score([TEXT])
    tokens = [len(action) for action in engine.tokenize([TEXT])[0].actions]
    expected = [
        logprob / norm(action, number) for logprob, action, number in zip(found.logprobs[0], TEXT[1], tokens, strict=True)
    ]
    assert found.scores[0].tolist() == pytest.approx([float(each) for each in expected])


def test_divisors() -> None:
    assert [norm("take the bowl", 5) for norm in (norms.none, norms.token, norms.word)] == [1.0, 5.0, 3.0]


@pytest.mark.parametrize("value", [0, -1.5, 1e-9, float("nan"), float("inf")])
def test_what_nothing_can_be_divided_by(value: float) -> None:
    with pytest.raises(UserError, match=rf"norm: it gave {float(value)} for the action 'take the bowl' of \d+ tokens"):
        Scorer(scorer().lm, lambda action, tokens: value).score([TEXT])


def engine_of(architecture: str, kind: ActionScores, norm: str, **options: Any) -> Engine:
    if architecture in ENCODER_DECODERS:
        return EncoderDecoderScorer(load(architecture, **options), getattr(norms, norm), scores=kind)
    return Scorer(scorer(architecture, **options).lm, getattr(norms, norm), scores=kind)


def logits_of(engine: Engine, prompt: tuple[int, ...], action: tuple[int, ...]) -> torch.Tensor:
    """The logits at the positions that predict the action's tokens, by a forward pass of its own, (tokens, vocabulary)."""
    model, of = engine.lm.model, torch.tensor
    if engine.lm.base.config.is_encoder_decoder:
        start = [engine.lm.base.config.decoder_start_token_id, *engine.tokenize.begin]
        inputs = {"input_ids": of([prompt]), "decoder_input_ids": of([[*start, *action[:-1]]])}
        return model(**inputs, use_cache=False).logits[0, -len(action) :].float()
    return model(of([[*prompt, *action[:-1]]]), use_cache=False).logits[0, -len(action) :].float()


def plain_policies(engine: Engine, kind: ActionScores) -> list[torch.Tensor]:
    """The policy of each decision as the definitions say it, with products and softmax of probabilities written out."""
    policies = []
    for (_, words), decision in zip(TEXTS, engine.tokenize(TEXTS), strict=True):
        scores = []
        for phrase, action in zip(words, decision.actions, strict=True):
            logits = logits_of(engine, decision.prompt, action)
            own = logits[torch.arange(len(action)), torch.tensor(action)]
            chances = logits.softmax(dim=1)[torch.arange(len(action)), torch.tensor(action)]
            divisor = engine.norm(phrase, len(action))
            sums = {"logprobs": chances.log().sum(), "logits": own.sum()}
            scores.append(chances.prod() ** (1 / divisor) if kind is ActionScores.product else sums[kind.name] / divisor)
        every = torch.stack(scores)
        policies.append((every / every.max() if kind is ActionScores.product else every).softmax(dim=0))
    return policies


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ActionScores)
@pytest.mark.parametrize("architecture", ARCHITECTURES | ENCODER_DECODERS)
def test_each_kind_is_its_definition(
    architecture: str, kind: ActionScores, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_linear, "gain", lambda _: 2.0)
    engine = engine_of(architecture, kind, "token", packed_weights=packed)
    found, expected = engine.score(TEXTS), plain_policies(engine, kind)
    losses = []
    for row, policy in zip(found.log_policy().exp(), expected, strict=True):
        torch.testing.assert_close(row[: len(policy)], policy, atol=1e-5, rtol=1e-4)
        assert not row[len(policy) :].any()
        weights = torch.arange(1.0, len(policy) + 1)
        losses.append((row[: len(policy)] @ weights, policy @ weights))
    one, other = (sum(each, torch.zeros(())) for each in zip(*losses, strict=True))
    assert_close_gradients(gradients(engine.lm.model, one), gradients(engine.lm.model, other), 1e-3)
