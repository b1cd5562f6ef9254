"""lm-eval's evaluation of a model that is loaded already, with its adapter on or off.

What a task asks, and when an answer is right, is lm-eval's; log-probabilities are computed by the suite's engine: lm-eval's own
HFLM repeats the context for each choice and projects every position onto the vocabulary, which takes many times longer on a CPU.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from twosome.errors import UserError
from twosome.evaluation.retention.benchmarks import Benchmark, quiet
from twosome.evaluation.retention.drift import PREDICTIONS, characters
from twosome.language.loading import LanguageModel
from twosome.language.scorer import Scorer
from twosome.language.tokens import TokenizedDecision
from twosome.language.tree import PackedRow, batches, pack

GENERATED = 8  # texts at a time, of tasks that have some written; one forward pass has batch_tokens otherwise
Correct = dict[str, np.ndarray]
"""By metric, which items were answered right, (items,) of bool."""
Request = tuple[Any, Sequence[int], Sequence[int]]
"""lm-eval's: texts, tokens of the context, tokens of the continuation."""


class Harness:
    """Asks a language model an lm-eval task's items; the weights are those of lm, which is not copied."""

    def __init__(self, lm: LanguageModel, batch_tokens: int) -> None:
        """batch_tokens: in one forward pass."""
        self.scorer = Scorer(lm, characters, batch_tokens=batch_tokens)
        with quiet():
            self.hflm = _shared_context_model(self.scorer)

    def ask(self, benchmark: Benchmark, adapter: bool) -> Correct:
        """Which items the model answers right, with its adapter or without, by every metric of lm-eval's that is right or wrong.

        A metric has lm-eval's name ("acc", "acc_norm"), followed by its filter's where there are several. Raises UserError
        where the tasks have no such metric in common: only right or wrong answers can be paired by McNemar's test.
        """
        from lm_eval.evaluator import evaluate

        for task in benchmark.tasks.values():
            if task.get_config("num_fewshot") is None:  # as lm-eval's own entry does
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=1234)
        self.scorer.lm.model.eval()
        with nullcontext() if adapter else self.scorer.lm.reference(), quiet(), only_the_models_bar():
            found = evaluate(lm=self.hflm, task_dict={"tasks": benchmark.tasks}, samples=benchmark.chosen, bootstrap_iters=0)
        assert found is not None  # only other ranks of a distributed evaluation get None
        correct = [_right_or_wrong(found["samples"][name]) for name in benchmark.tasks]
        common = [metric for metric in correct[0] if all(metric in each for each in correct)]
        if not common:
            raise UserError(
                f"retention.tasks={benchmark.name}: expected a task whose answers are right or wrong, item by item; "
                "none of its metrics says so"
            )
        return {metric: np.concatenate([each[metric] for each in correct]) for metric in common}


def _shared_context_model(scorer: Scorer) -> Any:
    """lm-eval's HFLM around the scorer's model. A function, as lm_eval is imported only where it is used."""
    from lm_eval.models.huggingface import HFLM

    class SharedContextLM(HFLM):
        """HFLM whose log-probabilities come from token trees: the choices of an item share its context."""

        def _loglikelihood_tokens(
            self, requests: Sequence[Request], disable_tqdm: bool = False, override_bs: int | None = None
        ) -> list[tuple[float, bool]]:
            pairs = [_shortened(request, self.max_length) for request in requests]
            cut = sum(len(pair[0]) < len(request[1]) for pair, request in zip(pairs, requests, strict=True))
            if cut:
                shortened = f"{cut} of {len(pairs)} texts are longer than the model's context"
                print(f"warning: {shortened}: the beginning is left out, as by lm-eval's own model", file=sys.stderr)
            return loglikelihoods(scorer, pairs, not disable_tqdm)

    return SharedContextLM(pretrained=scorer.lm.model, tokenizer=scorer.lm.tokenizer, batch_size=GENERATED)


def _shortened(request: Request, max_length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Context and continuation; of what is too long for the model, the beginning is left out, as by HFLM."""
    _, context, continuation = request
    excess = len(context) + len(continuation) - (max_length + 1)  # the last token is predicted, not read
    return tuple(context[max(excess, 0) :]), tuple(continuation)


@torch.no_grad()
def loglikelihoods(
    scorer: Scorer, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], progress: bool = False
) -> list[tuple[float, bool]]:
    """For each pair of context and continuation (token ids) log P(continuation | context), and whether it is the greedy one."""
    grouped: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for context, continuation in pairs:
        grouped.setdefault(context, {})[continuation] = None
    decisions = [TokenizedDecision(context, tuple(continuations)) for context, continuations in grouped.items()]
    found = {}
    with tqdm(total=len(decisions), disable=not progress, unit="item") as bar:
        for rows in batches(pack(decisions, scorer.row_tokens), scorer.batch_tokens):
            for row, logprobs, greedy in _edges(scorer, rows):
                for index, paths in zip(row.decisions, row.paths, strict=True):
                    context, continuations = decisions[index]
                    for continuation, path in zip(continuations, paths, strict=True):
                        found[context, continuation] = (float(logprobs[path].sum()), bool(greedy[path].all()))
                bar.update(len(row.decisions))
    return [found[pair] for pair in pairs]


def _edges(scorer: Scorer, rows: Sequence[PackedRow]) -> Iterator[tuple[PackedRow, np.ndarray, np.ndarray]]:
    """Each row of a batch with log P of its edges' tokens and whether these are the likeliest, (edges,) each."""
    for row, hidden in zip(rows, scorer.hidden(rows).split([len(row) for row in rows]), strict=True):
        nodes, tokens = (torch.tensor(each, device=scorer.device) for each in zip(*row.edges, strict=True))
        parts = []
        for node, token in zip(nodes.split(PREDICTIONS), tokens.split(PREDICTIONS), strict=True):
            log_probs = scorer.log_probs(hidden[node])
            parts.append((log_probs.gather(1, token[:, None]).squeeze(1).double(), log_probs.argmax(dim=-1) == token))
        logprobs, greedy = (torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True))
        yield row, logprobs, greedy


def _right_or_wrong(samples: list[dict[str, Any]]) -> Correct:
    """The metrics of a task's logged samples, in the order of the items, that are 0 or 1 for each."""
    values: dict[str, list[Any]] = {}
    for sample in samples:
        for metric in sample["metrics"]:
            name = metric if sample["filter"] == "none" else f"{metric},{sample['filter']}"
            values.setdefault(name, []).append(sample[metric])
    binary = {name: own for name, own in values.items() if all(np.isscalar(each) and each in (0, 1) for each in own)}
    return {name: np.array(own, dtype=bool) for name, own in binary.items()}


@contextmanager
def only_the_models_bar() -> Iterator[None]:
    """Inside, lm-eval draws no bar for each task's prompts, which are ready at once: MMLU alone has 57 tasks."""
    from lm_eval.api import task

    bar = task.tqdm
    task.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        task.tqdm = bar
