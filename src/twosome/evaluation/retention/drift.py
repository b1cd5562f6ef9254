"""The drift probe: how far training moved the language model away from its base, on the bundled texts.

Offline and cheap enough for the end of every run, so that it tells whether something was lost; how much a model knows is for
the benchmarks to say.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.evaluation.retention import texts
from twosome.evaluation.retention.paired import bootstrap, compare
from twosome.language.loading import LanguageModel
from twosome.language.scorer import Scorer

WINDOW = 512  # tokens of prose in one context
BATCH_TOKENS = 2048  # prose in one forward pass
PREDICTIONS = 256  # positions projected onto the vocabulary at once: 50 MB for one of 49 thousand tokens in float32
SUMS = ("tokens", "nats_before", "nats_after", "kl", "agreed")


def characters(option: str, num_tokens: int) -> float:
    """The divisor of lm-eval's acc_norm: an option's length in characters."""
    return float(len(option))


@dataclass(frozen=True)
class Drift:
    """What a probe measured; "before" is the model with its adapter off.

    prose: (pieces, len(SUMS)), for each piece sums over its predicted tokens: how many, -log p of the token before and
    after, KL(before || after) of the distributions in nats, and whether both find the same token most likely.
    text_bytes: UTF-8 bytes of the predicted text. correct: for acc and acc_norm, which questions were answered right, before
    and after, (2, questions).
    """

    prose: np.ndarray
    text_bytes: int
    correct: dict[str, np.ndarray]

    def point(self) -> dict[str, float]:
        """The figures that a forgetting curve shows, after training."""
        tokens, before, after, kl, agreed = self.prose.sum(axis=0)
        answers = {name: float(right[1].mean()) for name, right in self.correct.items()}
        ratio = float(np.exp((after - before) / tokens))
        return {"kl": float(kl / tokens), "perplexity_ratio": ratio, "top1_agreement": float(agreed / tokens), **answers}

    def summary(self) -> dict[str, Any]:
        """All figures, before and after, with 95 % intervals: the drift of retention.json.

        Intervals of prose resample whole pieces, since the tokens of one piece depend on each other.
        """
        tokens, before, after, _, _ = self.prose.sum(axis=0)
        point = self.point()
        bits = np.log(2) * self.text_bytes
        return {
            "pieces": len(self.prose),
            "tokens": int(tokens),
            "perplexity": {"before": float(np.exp(before / tokens)), "after": float(np.exp(after / tokens))},
            "bits_per_byte": {"before": float(before / bits), "after": float(after / bits)},
            "perplexity_ratio": point["perplexity_ratio"],
            "perplexity_ratio_interval": bootstrap(self.prose, lambda sums: np.exp((sums[:, 2] - sums[:, 1]) / sums[:, 0])),
            "kl": point["kl"],
            "kl_interval": bootstrap(self.prose, lambda sums: sums[:, 3] / sums[:, 0]),
            "top1_agreement": point["top1_agreement"],
            "top1_agreement_interval": bootstrap(self.prose, lambda sums: sums[:, 4] / sums[:, 0]),
            **{name: asdict(compare(*right)) for name, right in self.correct.items()},
        }


class DriftProbe:
    """Measures a language model against its own base. What the base says is computed once, at the first measurement.

    It has a Scorer of its own, draws no random numbers and changes no weight, so that training goes on as if it had not been.
    """

    def __init__(self, lm: LanguageModel, limit: int | None = None) -> None:
        """lm: a model with an adapter. limit: questions, and pieces of prose, at most; None: all.

        Raises UserError where the tokenizer or the context of the model does not fit the questions.
        """
        self.scorer = Scorer(lm, characters)
        self.questions = texts.questions(limit)
        self.decisions = [(question.prompt, question.options) for question in self.questions]
        self.scorer.tokenize(self.decisions)
        pieces = texts.prose(limit).values()
        ids = [tuple(lm.tokenizer(piece)["input_ids"]) for piece in pieces]
        # The first token is read, not predicted. Where it is one that the tokenizer puts before each text, it has no bytes.
        firsts = [lm.tokenizer.decode(list(tokens[:1]), skip_special_tokens=True) for tokens in ids]
        self.text_bytes = sum(len(text.encode()) for text in pieces) - sum(len(str(first).encode()) for first in firsts)
        self.num_pieces = len(ids)
        self.batches = batches(ids, min(WINDOW, self.scorer.tokenize.max_length or WINDOW))
        self._base: tuple[list[Tensor], dict[str, np.ndarray]] | None = None

    @torch.no_grad()
    def measure(self) -> Drift:
        """Compare the model as it is now with its base; leaves it in eval mode, that is without LoRA's dropout."""
        self.scorer.lm.model.eval()
        if self._base is None:
            with self.scorer.lm.reference():
                self._base = [self._states(windows) for _, windows in self.batches], self._answers()
        base_states, base_answers = self._base
        sums = np.zeros((self.num_pieces, len(SUMS)))
        for (owners, windows), before in zip(self.batches, base_states, strict=True):
            pieces, figures = self._figures(owners, windows, before, self._states(windows))
            np.add.at(sums, pieces, figures)
        answers = self._answers()
        return Drift(sums, self.text_bytes, {name: np.stack([base_answers[name], answers[name]]) for name in answers})

    def _states(self, windows: list[Tensor]) -> Tensor:
        """Last hidden states of the windows, (windows, longest, hidden). A causal model needs no mask for what pads the right."""
        ids = pad_sequence(windows, batch_first=True).to(self.scorer.device)
        return self.scorer.backbone(input_ids=ids, use_cache=False).last_hidden_state

    def _figures(self, owners: list[int], windows: list[Tensor], before: Tensor, after: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """For each predicted token of a batch, (tokens,) the piece that it belongs to, and (tokens, len(SUMS)) its SUMS."""
        places = [(row, position) for row, ids in enumerate(windows) for position in range(len(ids) - 1)]
        rows, positions = torch.tensor(places, device=self.scorer.device).unbind(dim=1)
        targets = torch.cat([ids[1:] for ids in windows]).to(self.scorer.device)
        parts = []
        for row, position, target in zip(*(tensor.split(PREDICTIONS) for tensor in (rows, positions, targets)), strict=True):
            base, tuned = (self.scorer.log_probs(states.to(row.device)[row, position]) for states in (before, after))
            nats = [-log_probs.gather(1, target[:, None]).squeeze(1) for log_probs in (base, tuned)]
            kl = (base.exp() * (base - tuned)).sum(dim=-1)
            agreed = base.argmax(dim=-1) == tuned.argmax(dim=-1)
            parts.append(torch.stack([torch.ones_like(kl), *nats, kl, agreed.float()], dim=1).double().cpu())
        return np.repeat(owners, [len(ids) - 1 for ids in windows]), torch.cat(parts).numpy()

    def _answers(self) -> dict[str, np.ndarray]:
        """Which questions the model answers right, (questions,), by summed (acc) and by normalised log-probability (acc_norm)."""
        scores = self.scorer.score(self.decisions)
        right = np.array([question.answer for question in self.questions])
        ways = {"acc": scores.logprobs, "acc_norm": scores.scores}
        return {name: values.argmax(dim=-1).cpu().numpy() == right for name, values in ways.items()}


def batches(pieces: list[tuple[int, ...]], window: int) -> list[tuple[list[int], list[Tensor]]]:
    """Cut pieces (token ids) into windows of at most so many tokens, and group these into batches of similar length.

    A window begins with the last token of the one before, so that each token of a piece but its first is predicted once.
    Returns for each batch the piece that each window is of, and the windows.
    """
    cut = [
        (piece, torch.tensor(ids[start : start + window]))
        for piece, ids in enumerate(pieces)
        for start in range(0, len(ids) - 1, window - 1)
    ]
    grouped: list[tuple[list[int], list[Tensor]]] = []
    for piece, ids in sorted(cut, key=lambda each: len(each[1]), reverse=True):
        if not grouped or (len(grouped[-1][1]) + 1) * len(grouped[-1][1][0]) > BATCH_TOKENS:
            grouped.append(([], []))
        grouped[-1][0].append(piece)
        grouped[-1][1].append(ids)
    return grouped
