"""The kinds of action scores against a plain computation from each action's own logits."""

from typing import Any

import pytest
import torch
from encoder_decoder_tools import load
from scoring_tools import DECISIONS, assert_close_gradients, gradients, scorer

from twosome.config import typed
from twosome.language import norms
from twosome.language.action_scores import ActionScores
from twosome.language.config import ARCHITECTURES, ENCODER_DECODERS, EngineConfig
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.engine import Engine
from twosome.language.scorer import Scorer

TEXTS = DECISIONS[:4]


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


@pytest.mark.parametrize("packed_weights", [True, False])
@pytest.mark.parametrize("kind", ActionScores)
@pytest.mark.parametrize("architecture", ARCHITECTURES | ENCODER_DECODERS)
def test_each_kind_is_its_definition(architecture: str, kind: ActionScores, packed_weights: bool) -> None:
    engine = engine_of(architecture, kind, "token", packed_weights=packed_weights)
    found, expected = engine.score(TEXTS), plain_policies(engine, kind)
    losses = []
    for row, policy in zip(found.log_policy().exp(), expected, strict=True):
        torch.testing.assert_close(row[: len(policy)], policy, atol=1e-5, rtol=1e-4)
        assert not row[len(policy) :].any()
        weights = torch.arange(1.0, len(policy) + 1)
        losses.append((row[: len(policy)] @ weights, policy @ weights))
    one, other = (sum(each, torch.zeros(())) for each in zip(*losses, strict=True))
    assert_close_gradients(gradients(engine.lm.model, one), gradients(engine.lm.model, other), 1e-3)


def test_only_the_scores_differ_and_products_never_exceed_their_bound() -> None:
    """Of six actions with scores within 0 and 1 the best has at most e / (e + 5) (the facts' .352)."""
    engines = {kind: engine_of("llama", kind, "none") for kind in ActionScores}
    found = {kind: engine.score(TEXTS) for kind, engine in engines.items()}
    for kind, scores in found.items():
        torch.testing.assert_close(scores.logprobs, found[ActionScores.logprobs].logprobs, atol=1e-5, rtol=0)
        assert (kind is ActionScores.logprobs) == torch.allclose(scores.scores, found[ActionScores.logprobs].scores, atol=1e-3)
    six = engines[ActionScores.product].score([("You should", ("go", *(f"go {'left ' * 9}{number}" for number in range(5))))])
    assert six.log_policy().exp().max().item() == pytest.approx(0.352, abs=1e-3)


def test_the_option_is_an_enumeration_of_the_configuration() -> None:
    from omegaconf import OmegaConf

    assert typed(EngineConfig, OmegaConf.create({"scores": "product"}), "engine").scores is ActionScores.product
