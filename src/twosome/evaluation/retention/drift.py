"""The drift probe: measure how far training moved the language model away from its base, on the bundled texts.

It works offline and is cheap enough for every run. It detects losses; the benchmarks measure how much a model knows. The texts,
multiple-choice questions and English prose, were written for the suite and are unrelated to its environments.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from twosome.evaluation.records import LATER, same
from twosome.evaluation.retention.paired import bootstrap, compare
from twosome.language.gate import engine_of
from twosome.language.loading import LanguageModel
from twosome.language.scorer import PREDICTIONS, OutputLayer
from twosome.storage.folder import RunFolder

T = TypeVar("T")
DATA = files(__package__) / "data"
WINDOW = 512  # tokens of prose in one context
BATCH_TOKENS = 2048  # prose in one forward pass
SUMS = ("tokens", "nats_before", "nats_after", "kl", "agreed")


def questions(limit: int | None = None) -> list[dict[str, Any]]:
    """Return all questions, or limit of them, evenly spaced in the file and therefore over the categories.

    Their keys: category (common_sense, science, physics or words), question, options, and answer, an index into options.
    """
    return spread([json.loads(line) for line in (DATA / "questions.jsonl").read_text(encoding="utf-8").splitlines()], limit)


def prose(limit: int | None = None) -> dict[str, str]:
    """Return all pieces of prose, or limit of them, by name and in order."""
    pieces = sorted((file.name.removesuffix(".txt"), file.read_text(encoding="utf-8")) for file in (DATA / "prose").iterdir())
    return dict(spread(pieces, limit))


def texts_checksum() -> str:
    """Return the sha256 (hex) of all texts. Results of different texts must not be compared."""
    return hashlib.sha256(json.dumps([questions(), prose()]).encode()).hexdigest()


def spread(items: list[T], limit: int | None) -> list[T]:
    """Return limit evenly spaced items, or all if there are no more (or limit is None)."""
    if limit is None or limit >= len(items):
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def characters(option: str, num_tokens: int) -> float:
    """Return the divisor of lm-eval's acc_norm: an option's length in characters."""
    return float(len(option))


@torch.no_grad()
def unmeasured(lm: LanguageModel) -> str | None:
    """Return why the retention of a model cannot be measured, or None if it can."""
    if lm.base.config.is_encoder_decoder:
        return f"{lm.name} is an encoder-decoder model, whose retention is not measured: it gives no probability to prose alone"
    ids = torch.tensor([lm.tokenizer("The dish is on the table.")["input_ids"]], device=lm.base.device)
    try:
        with lm.computing():
            found = OutputLayer(lm).logits(lm.backbone(input_ids=ids, use_cache=False).last_hidden_state[0])
            expected = lm.base(input_ids=ids, use_cache=False).logits[0].float()
        if (found - expected).abs().max() <= 1e-3 * expected.abs().max():
            return None
    except (AttributeError, TypeError, ValueError, RuntimeError):  # a family's code was not made for it
        pass
    return f"{lm.name} ({lm.base.config.model_type}): retention needs logits of hidden states, which it does not give"


@dataclass(frozen=True)
class Drift:
    """The measurements of a probe; "before" is the model with its adapter off.

    prose: (pieces, len(SUMS)), for each piece sums over its predicted tokens: their number, -log p of the token before and
    after, KL(before || after) of the distributions in nats, and whether both have the same most probable token.
    text_bytes: UTF-8 bytes of the predicted text. correct: for acc and acc_norm, (2, questions), bool: whether each question was
    answered correctly before and after.
    """

    prose: np.ndarray
    text_bytes: int
    correct: dict[str, np.ndarray]

    def point(self) -> dict[str, float]:
        """Return the figures of a forgetting curve, for the model after training."""
        tokens, before, after, kl, agreed = self.prose.sum(axis=0)
        answers = {name: float(right[1].mean()) for name, right in self.correct.items()}
        ratio = float(np.exp((after - before) / tokens))
        return {"kl": float(kl / tokens), "perplexity_ratio": ratio, "top1_agreement": float(agreed / tokens), **answers}

    def summary(self) -> dict[str, Any]:
        """Return all figures, before and after, with 95 % intervals: the entry "drift" of retention.json.

        The intervals of prose resample whole pieces, since the tokens of a piece are not independent.
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
            **{name: compare(*right) for name, right in self.correct.items()},
        }


class DriftProbe:
    """A comparison of a language model with its own base. The base's results are computed once, at the first measurement.

    The probe has its own engine, draws no random numbers and changes no weights, so it does not affect training.
    """

    def __init__(self, lm: LanguageModel, limit: int | None = None) -> None:
        """lm: a model with an adapter. limit: the largest number of questions, and of pieces of prose; None: all.

        Raises UserError if the model's tokenizer or context does not fit the questions.
        """
        self.lm = lm
        self.engine = engine_of(lm, characters, cache_mb=0)  # its texts are scored seldom
        self.output = OutputLayer(lm)
        self.questions = questions(limit)
        self.decisions = [(f"Question: {each['question']}\nAnswer:", tuple(each["options"])) for each in self.questions]
        self.engine.tokenize(self.decisions)
        pieces = prose(limit).values()
        ids = [tuple(lm.tokenizer(piece)["input_ids"]) for piece in pieces]
        # The first token is not predicted, so its bytes are not counted. A beginning-of-text token has no bytes.
        firsts = [lm.tokenizer.decode(list(tokens[:1]), skip_special_tokens=True) for tokens in ids]
        self.text_bytes = sum(len(text.encode()) for text in pieces) - sum(len(str(first).encode()) for first in firsts)
        self.num_pieces = len(ids)
        self.batches = batches(ids, min(WINDOW, self.engine.tokenize.max_length or WINDOW))
        self._base: tuple[list[Tensor], dict[str, np.ndarray]] | None = None

    @torch.no_grad()
    def measure(self) -> Drift:
        """Compare the current model with its base; leave it in eval mode, without LoRA's dropout."""
        self.lm.model.eval()
        if self._base is None:
            with self.lm.reference():
                self._base = [self._states(windows) for _, windows in self.batches], self._answers()
        base_states, base_answers = self._base
        sums = np.zeros((self.num_pieces, len(SUMS)))
        for (owners, windows), before in zip(self.batches, base_states, strict=True):
            pieces, figures = self._figures(owners, windows, before, self._states(windows))
            np.add.at(sums, pieces, figures)
        answers = self._answers()
        return Drift(sums, self.text_bytes, {name: np.stack([base_answers[name], answers[name]]) for name in answers})

    def _states(self, windows: list[Tensor]) -> Tensor:
        """Return the last hidden states of windows, (windows, length, hidden). Padding on the right needs no mask (causal)."""
        ids = pad_sequence(windows, batch_first=True).to(self.engine.device)
        return self.lm.backbone(input_ids=ids, use_cache=False).last_hidden_state

    def _figures(self, owners: list[int], windows: list[Tensor], before: Tensor, after: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return the piece of each predicted token of a batch, (tokens,), and its terms of SUMS, (tokens, len(SUMS))."""
        places = [(row, position) for row, ids in enumerate(windows) for position in range(len(ids) - 1)]
        rows, positions = torch.tensor(places, device=self.engine.device).unbind(dim=1)
        targets = torch.cat([ids[1:] for ids in windows]).to(self.engine.device)
        parts = []
        for row, position, target in zip(*(tensor.split(PREDICTIONS) for tensor in (rows, positions, targets)), strict=True):
            base, tuned = (self.output.log_probs(states.to(row.device)[row, position]) for states in (before, after))
            nats = [-log_probs.gather(1, target[:, None]).squeeze(1) for log_probs in (base, tuned)]
            kl = (base.exp() * (base - tuned)).sum(dim=-1)
            agreed = base.argmax(dim=-1) == tuned.argmax(dim=-1)
            parts.append(torch.stack([torch.ones_like(kl), *nats, kl, agreed.float()], dim=1).double().cpu())
        return np.repeat(owners, [len(ids) - 1 for ids in windows]), torch.cat(parts).numpy()

    def _answers(self) -> dict[str, np.ndarray]:
        """Return whether each question is answered correctly, (questions,): acc by the sum, acc_norm by its normalised value."""
        scores = self.engine.score(self.decisions)
        right = np.array([question["answer"] for question in self.questions])
        ways = {"acc": scores.logprobs, "acc_norm": scores.scores}
        return {name: values.argmax(dim=-1).cpu().numpy() == right for name, values in ways.items()}


def batches(pieces: list[tuple[int, ...]], window: int) -> list[tuple[list[int], list[Tensor]]]:
    """Cut pieces (token ids) into windows of at most window tokens, and group these into batches of similar length.

    A window begins with the last token of the previous one, so that each token of a piece except its first is predicted once.
    Returns for each batch the piece of each window, and the windows.
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


FILE = "retention.json"


def measured(probe: DriftProbe) -> dict[str, Any]:
    """Measure the drift; return the entry "drift" of retention.json."""
    return {"texts": texts_checksum(), **probe.measure().summary()}


def write_own(drift: dict[str, Any], folder: RunFolder) -> None:
    """Write the run's own measurement as the entry "drift" of its folder's retention.json."""
    folder.write_json(FILE, folder.read_json(FILE, default={}) | {"drift": drift})


def add_later(found: dict[str, Any], folder: RunFolder, evaluated: dict[str, Any]) -> bool:
    """Add the results of a later evaluation to the list "later" of the folder's retention.json; return whether they were added.

    found: "drift", or "benchmarks" with an entry by name (`benchmarks.comparison`). evaluated: the result of `records.stamp`.
    Existing entries do not change, and equal ones are not added again.
    """
    content = folder.read_json(FILE, default={})
    later = content.get("later", [])
    if any(_has(part, found) for part in (content, *later)):
        return False
    folder.write_json(FILE, content | {"later": [*later, {LATER: evaluated, **found}]})
    return True


def _has(part: dict[str, Any], found: dict[str, Any]) -> bool:
    """Return whether a part of retention.json holds an equal drift or equal entries."""
    if "benchmarks" in found:
        return _has(part.get("benchmarks", {}), found["benchmarks"])
    return all(name in part and same(part[name], found[name]) for name in found)
