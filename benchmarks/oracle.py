"""A simple reference implementation of scoring: one padded row per prompt and action, as in TWOSOME's reference code.

It is slow and only for tests and the benchmark.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from twosome.decision import DecisionText
from twosome.language.engine import MASKED, Scores
from twosome.language.scorer import Scorer


def score(scorer: Scorer, texts: Sequence[DecisionText], padding_side: str = "right") -> Scores:
    """Compute the result of Scorer.score from one row per decision and action with full logits; duplicates are computed again."""
    tokenized = scorer.tokenize(texts)
    sequences = [decision.prompt + action for decision in tokenized for action in decision.actions]
    starts = [len(decision.prompt) for decision in tokenized for _ in decision.actions]
    length = max(map(len, sequences))
    ids = torch.zeros(len(sequences), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    offsets = []
    for row, sequence in enumerate(sequences):
        offset = 0 if padding_side == "right" else length - len(sequence)
        ids[row, offset : offset + len(sequence)] = torch.tensor(sequence)
        mask[row, offset : offset + len(sequence)] = 1
        offsets.append(offset)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    scorer.tokens_computed += ids.numel()
    device = scorer.device
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device), "position_ids": positions.to(device)}
    output = scorer.lm.model(**inputs, use_cache=False, output_hidden_states=True)
    logprobs = torch.log_softmax(output.logits.float(), dim=-1)

    width = max(len(decision.actions) for decision in tokenized)
    rows: list[Tensor] = []
    firsts = [offset + start - 1 for offset, start in zip(offsets, starts, strict=True)]
    states = output.hidden_states[-1][torch.arange(len(sequences)), torch.tensor(firsts)].float()
    for row, (sequence, start, offset) in enumerate(zip(sequences, starts, offsets, strict=True)):
        places = torch.arange(start, len(sequence), device=device) + offset
        rows.append(logprobs[row, places - 1, torch.tensor(sequence[start:], device=device)])
    totals = torch.full((len(texts), width), MASKED, device=device)
    scores = totals.clone()
    tokens = torch.full((len(texts), width, max(map(len, rows))), torch.nan, device=device)
    before = torch.zeros(*tokens.shape, scorer.hidden_size, device=device)
    flat = zip(rows, firsts, output.hidden_states[-1], strict=True)
    heads = np.cumsum([0, *(len(decision.actions) for decision in tokenized)])[:-1]  # the first row of each decision
    for d, ((_, prompts), decision) in enumerate(zip(texts, tokenized, strict=True)):
        for a, (words, action) in enumerate(zip(prompts, decision.actions, strict=True)):
            terms, first, hidden = next(flat)
            tokens[d, a, : len(terms)] = terms
            before[d, a, : len(terms)] = hidden[first : first + len(terms)].float()
            totals[d, a] = total = terms.sum()
            scores[d, a] = total / scorer.norm(words, len(action))
    return Scores(totals, scores, states[torch.from_numpy(heads)], tokens, before)


@torch.no_grad()
def features(scorer: Scorer, prompts: Sequence[str]) -> Tensor:
    """Compute the result of Scorer.features, (len(prompts), hidden), from one row per prompt; duplicates are computed again."""
    sequences = [scorer.lm.tokenizer(prompt)["input_ids"] for prompt in prompts]
    ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    scorer.tokens_computed += ids.numel()
    with scorer.lm.reference():
        output = scorer.backbone(input_ids=ids.to(scorer.device), attention_mask=mask.to(scorer.device), use_cache=False)
    return output.last_hidden_state[torch.arange(len(prompts)), mask.sum(dim=1) - 1].float()
