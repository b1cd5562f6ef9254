"""Choose the engine that computes a model right: token trees are compared with plain rows when the model is loaded."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from peft import PeftModel

from twosome import generators
from twosome.decision import DecisionText
from twosome.errors import UserError
from twosome.language.attention import uses_tree_attention
from twosome.language.config import EngineConfig
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.engine import Engine
from twosome.language.loading import LanguageModel
from twosome.language.norms import Normalization
from twosome.language.rows import Rows
from twosome.language.scorer import Scorer

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


def engine_of(lm: LanguageModel, norm: Normalization, options: EngineConfig | None = None) -> Engine:
    """Return the fastest engine that computes the model as its own `forward` does. The check is done once per loaded model.

    options: see conf/engine/auto.yaml. A line on stderr says where only plain rows are right.
    """
    options = options or EngineConfig()
    if lm.check is None:
        lm.check = checked(lm)
        if lm.check.reason:
            print(f"note: engine=rows: {lm.name}: {lm.check.reason}", file=sys.stderr)
    if lm.check.engine == "rows":
        return Rows(lm, norm, options.batch_tokens, options.scores)
    if lm.check.engine == "encoder_decoder":
        return EncoderDecoderScorer(lm, norm, options.batch_tokens, options.scores)
    return Scorer(lm, norm, **vars(options) | ({} if lm.check.lower_layers else {"cache_mb": 0}))


def checked(lm: LanguageModel) -> Check:
    """Compare engines with plain rows, in the run's dtype, with the model as it is and with an adapter that is not zero."""
    training = [module for module in lm.model.modules() if module.training]
    lm.model.eval()
    try:
        return _compared(lm)
    finally:
        for module in training:
            module.training = True


def _compared(lm: LanguageModel) -> Check:
    tolerance = TOLERANCES[lm.dtype]
    _check_causal(lm, tolerance)
    rows = Rows(lm, _sum)
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
        slower = _seconds(rows) / _seconds(engine)
        reason = f"token trees differ by up to {largest:.2g} nats, {mean:.2g} on average ({tolerance:g} allowed)"
        reason += f"; rows take {slower:.1f} times as long for the decisions that were compared"
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
        yield lambda: EncoderDecoderScorer(lm, _sum)
        return
    yield lambda: Scorer(lm, _sum)
    yield lambda: Scorer(lm, _sum, cache_mb=0)
    if uses_tree_attention(lm.base):  # some families do not call the function that they name
        lm.base.set_attn_implementation("sdpa")
        yield lambda: Scorer(lm, _sum)


def _sum(action: str, tokens: int) -> float:
    return 1.0


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


@torch.no_grad()
def _seconds(engine: Engine) -> float:
    start = time.perf_counter()
    engine.score(DECISIONS)
    return time.perf_counter() - start


def described(lm: LanguageModel) -> dict[str, object]:
    """Return the entry of provenance.json: how the engine was checked, or that plain rows were asked for."""
    return {"engine": "rows"} if lm.check is None else asdict(lm.check)
