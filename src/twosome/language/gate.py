"""Choose the engine that computes a model right: token trees are compared with plain rows when the model is loaded."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from peft import PeftModel

from twosome import generators
from twosome.decision import DecisionText
from twosome.errors import UserError
from twosome.language.cpu.attention import uses_tree_attention
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.engine import Engine
from twosome.language.loading import LanguageModel, ModelConfig, load_language_model
from twosome.language.norms import ActionScores, Normalization, none
from twosome.language.rows import Rows
from twosome.language.scorer import Scorer
from twosome.language.tuning import Tuning

TOLERANCES = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}
"""The mean difference of a token's log-probability that is allowed, in nats, by the dtype of the model's products; the largest
one may be ten times as large. Rounding alone gives SmolLM2-135M a tenth to a half of it."""
DECISIONS: list[DecisionText] = [
    (
        "You see a tomato, a lettuce and a bowl. The next step is to",
        ("pick up the tomato", "go to the cutting board", "pick up the"),
    ),
    ("You see a tomato, a lettuce and a door. The next step is to", ("open the door", "walk through it")),
    ("You see", ("a red dog", "a blue cat")),
]
"""Decisions whose actions branch before their last token, beside one another: two that begin alike, and a short one."""


@dataclass(frozen=True)
class Check:
    """The comparison of an engine with plain rows.

    engine: trees, rows or encoder_decoder: the one to use. lower_layers: the number of layers that are computed once.
    largest, mean: differences of a token's log-probability between the fast engine and rows, in nats; None where it cannot
    compute the model. tolerance: of the mean. reason: why rows are used, or None.
    """

    engine: str
    lower_layers: int
    largest: float | None
    mean: float | None
    tolerance: float
    reason: str | None = None


def load_engine(model: ModelConfig, tuning: Tuning | None, norm: Normalization) -> Engine:
    """Load a language model and make its engine. tuning: selects the trainable weights; None: no weights are trainable."""
    lm = load_language_model(model, tuning)
    if model.engine == "rows":
        return Rows(lm, norm, model.batch_tokens, model.scores)
    return engine_of(lm, norm, model.batch_tokens, model.cache_mb, model.scores)


def engine_of(
    lm: LanguageModel,
    norm: Normalization,
    batch_tokens: int | None = None,
    cache_mb: int = ModelConfig.cache_mb,
    scores: ActionScores = ActionScores.logprobs,
) -> Engine:
    """Return the fastest engine that computes the model as its own `forward` does. The check is done once per loaded model.

    batch_tokens, cache_mb, scores: as in conf/model. A line on stderr says where only plain rows are right.
    """
    if lm.check is None:
        lm.check = checked(lm)
        if lm.check.reason:
            print(f"note: model.engine=rows: {lm.name}: {lm.check.reason}", file=sys.stderr)
    if lm.check.engine == "trees":
        return Scorer(lm, norm, batch_tokens, cache_mb if lm.check.lower_layers else 0, scores)
    return (Rows if lm.check.engine == "rows" else EncoderDecoderScorer)(lm, norm, batch_tokens, scores)


def checked(lm: LanguageModel) -> Check:
    """Compare engines with plain rows, in the run's dtype, with the model as it is and with an adapter that is not zero."""
    lm.model.eval()  # without dropout
    tolerance = TOLERANCES[lm.dtype]
    _check_causal(lm, tolerance)
    rows = Rows(lm, none)
    expected = _token_logprobs(lm, rows)
    reason, largest, mean = "", None, None
    for make in _candidates(lm):
        try:
            engine = make()
            different = (_token_logprobs(lm, engine) - expected).abs().nan_to_num(torch.inf)
        except Exception as error:  # of any kind: a family's code was not made for trees
            reason = f"its code does not take token trees ({type(error).__name__}: {str(error).strip()[:100]!r})"
            continue
        if isinstance(engine, Scorer) and engine.rows.tokens_computed:
            reason = f"its attention window of {engine.longest} tokens is shorter than the decisions that are compared"
            continue
        largest, mean = float(different.max()), float(different.mean())
        if mean <= tolerance and largest <= 10 * tolerance:
            if isinstance(engine, Scorer):
                return Check("trees", engine.lower.depth if engine.lower else 0, largest, mean, tolerance)
            return Check("encoder_decoder", 0, largest, mean, tolerance)
        reason = f"token trees differ by up to {largest:.2g} nats, {mean:.2g} on average ({tolerance:g} allowed)"
    return Check("rows", 0, largest, mean, tolerance, f"each action is a row: {reason}")


@torch.no_grad()
def _check_causal(lm: LanguageModel, tolerance: float) -> None:
    """Raise UserError for a decoder-only model in which a token's logits depend on later tokens, so that it has no P(action)."""
    if lm.base.config.is_encoder_decoder:
        return
    (prompt, actions), *_ = DECISIONS
    ids = torch.tensor([lm.tokenizer(f"{prompt} {actions[0]}")["input_ids"]], device=lm.base.device)
    with lm.computing():
        whole, part = (lm.base(input_ids=some, use_cache=False).logits[0, :4].float() for some in (ids[:, :8], ids[:, :4]))
    if not (whole.log_softmax(dim=-1) - part.log_softmax(dim=-1)).abs().mean() <= tolerance:
        raise UserError(f"model.path={lm.name}: a token's probability depends on later tokens; expected a causal language model")


def _candidates(lm: LanguageModel) -> Iterator[Callable[[], Engine]]:
    """Yield what makes the engines to be tried, the fastest first."""
    if lm.base.config.is_encoder_decoder:
        yield lambda: EncoderDecoderScorer(lm, none)
        return
    yield lambda: Scorer(lm, none)
    yield lambda: Scorer(lm, none, cache_mb=0)
    if uses_tree_attention(lm.base):  # some families do not call the function that they name
        lm.base.set_attn_implementation("sdpa")
        yield lambda: Scorer(lm, none)


@torch.no_grad()
def _token_logprobs(lm: LanguageModel, engine: Engine) -> torch.Tensor:
    """Return the log-probabilities of the actions' tokens, without and with a disturbed adapter, in one row."""
    found = [engine.score(DECISIONS).tokens]
    if isinstance(lm.model, PeftModel):
        with _disturbed(lm):
            found.append(engine.score(DECISIONS).tokens)
    return torch.cat([tokens[~tokens.isnan()] for tokens in found])


@contextmanager
def _disturbed(lm: LanguageModel) -> Iterator[None]:
    """Add noise to what learns within the context."""
    generator = generators.of_stream(0, "gate")
    before = [weight.detach().clone() for weight in lm.learned()]
    try:
        for weight in lm.learned():
            noise = torch.randn(weight.shape, generator=generator) * 0.02
            weight.data.add_(noise.to(weight.device, weight.dtype))
        yield
    finally:
        for weight, old in zip(lm.learned(), before, strict=True):
            weight.data.copy_(old)


def described(lm: LanguageModel) -> dict[str, object]:
    """Return the entry of provenance.json: how the engine was checked, or that plain rows were asked for."""
    return {"engine": "rows"} if lm.check is None else asdict(lm.check)
