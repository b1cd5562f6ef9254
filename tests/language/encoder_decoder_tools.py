"""What the tests of the encoder-decoder engine share: tiny models, one row per action, and the comparison."""

from functools import cache
from typing import Any

import torch
from scoring_tools import assert_equal_scores, disturb_adapter
from torch.nn.utils.rnn import pad_sequence

from twosome.language import norms
from twosome.language.encoder_decoder import EncoderDecoderScorer
from twosome.language.engine import MASKED, Scores
from twosome.language.loading import LanguageModel, ModelConfig, load_language_model
from twosome.language.tuning import Lora, Tuning


def load(architecture: str = "t5", tuning: Tuning | None = None, **options: Any) -> LanguageModel:
    """A tiny model with a LoRA adapter that matters, unless tuning is given; options: of ModelConfig."""
    options = {"source": "tiny_random", "architecture": architecture, "device": "cpu"} | options
    language = load_language_model(ModelConfig(**options), tuning or Lora())
    disturb_adapter(language.model)
    return language


@cache
def known(architecture: str = "t5", norm: str = "none", batch_tokens: int | None = None) -> EncoderDecoderScorer:
    """For tests that change nothing."""
    made = EncoderDecoderScorer(load(architecture), getattr(norms, norm), batch_tokens)
    made.token_states = True
    return made


def oracle(engine: EncoderDecoderScorer, texts: list) -> Scores:
    """One row per action in the encoder and in the decoder, by the model's own forward pass."""
    tokenizer, model = engine.lm.tokenizer, engine.lm.model
    specials = set(tokenizer("")["input_ids"])
    begin = [token for token in tokenizer("")["input_ids"] if token == tokenizer.bos_token_id]
    start = [engine.lm.base.config.decoder_start_token_id, *begin]
    rows = [(prompt, action) for prompt, actions in texts for action in actions]
    prompts = [torch.tensor(begin + [t for t in tokenizer(prompt)["input_ids"] if t not in specials]) for prompt, _ in rows]
    targets = [[token for token in tokenizer(action)["input_ids"] if token not in specials] for _, action in rows]
    mask = pad_sequence([torch.ones_like(prompt) for prompt in prompts], batch_first=True)
    inputs = pad_sequence([torch.tensor(start + target[:-1]) for target in targets], batch_first=True)
    output = model(
        input_ids=pad_sequence(prompts, batch_first=True),
        attention_mask=mask,
        decoder_input_ids=inputs,
        output_hidden_states=True,
        use_cache=False,
    )
    logprobs = output.logits.float().log_softmax(dim=-1)
    steps, width = max(map(len, targets)), max(len(actions) for _, actions in texts)
    tokens = torch.full((len(texts), width, steps), torch.nan)
    before = torch.zeros(*tokens.shape, engine.hidden_size)
    totals = torch.full((len(texts), width), MASKED)
    scores, states, row = totals.clone(), [], 0
    for d, (_, actions) in enumerate(texts):
        states.append(output.decoder_hidden_states[-1][row, len(start) - 1].float())
        for a, action in enumerate(actions):
            target = torch.tensor(targets[row])
            tokens[d, a, : len(target)] = terms = logprobs[row, len(start) - 1 :].gather(1, target[:, None])[: len(target), 0]
            hidden = output.decoder_hidden_states[-1][row]
            before[d, a, : len(target)] = hidden[len(start) - 1 :][: len(target)].float()
            totals[d, a] = terms.sum()
            scores[d, a] = terms.sum() / engine.norm(action, len(target))
            row += 1
    return Scores(totals, scores, torch.stack(states), tokens, before)


def assert_agree(engine: EncoderDecoderScorer, texts: list) -> None:
    """Scores, states and policies are the oracle's, and so is the gradient of a sum of all of them."""
    assert_equal_scores(engine.lm.model, engine.score(texts), oracle(engine, texts), of_states=1.0)
