"""lm-eval's evaluation of a loaded model, with its adapter on or off.

lm-eval defines the requests and the metrics. The suite's engine computes the log-probabilities: lm-eval's own HFLM repeats the
context for each choice and projects every position onto the vocabulary, which takes many times longer on a CPU.
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

GENERATED = 8  # batch size of tasks that generate texts; for other tasks a forward pass has batch_tokens
Correct = dict[str, np.ndarray]
"""For each metric, whether each item was answered correctly, (items,), bool."""
Request = tuple[Any, Sequence[int], Sequence[int]]
"""A request of lm-eval: texts, tokens of the context, tokens of the continuation."""


class Harness:
    """An evaluation of a language model by lm-eval's tasks. The model is not copied."""

    def __init__(self, lm: LanguageModel, batch_tokens: int) -> None:
        """batch_tokens: tokens per forward pass."""
        self.scorer = Scorer(lm, characters, batch_tokens=batch_tokens)
        with quiet():
            self.hflm = _shared_context_model(self.scorer)

    def ask(self, benchmark: Benchmark, adapter: bool) -> Correct:
        """Return whether each item is answered correctly, for each of lm-eval's metrics that is 0 or 1 per item.

        adapter: whether the adapter is on. A metric has lm-eval's name ("acc", "acc_norm"), followed by its filter's if it has
        one. Raises UserError if the tasks have no such metric in common, since McNemar's test needs right or wrong answers.
        """
        from lm_eval.evaluator import evaluate

        for task in benchmark.tasks.values():
            if task.get_config("num_fewshot") is None:  # as in lm-eval's own command
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=1234)
        self.scorer.lm.model.eval()
        with nullcontext() if adapter else self.scorer.lm.reference(), quiet(), no_task_bars():
            found = evaluate(lm=self.hflm, task_dict={"tasks": benchmark.tasks}, samples=benchmark.chosen, bootstrap_iters=0)
        assert found is not None  # it is None only on ranks other than 0 of a distributed evaluation
        correct = [_right_or_wrong(found["samples"][name]) for name in benchmark.tasks]
        common = [metric for metric in correct[0] if all(metric in each for each in correct)]
        if not common:
            raise UserError(
                f"retention.tasks={benchmark.name}: expected a task with a metric that is 0 or 1 for each item; "
                "choose another task"
            )
        return {metric: np.concatenate([each[metric] for each in correct]) for metric in common}


def _shared_context_model(scorer: Scorer) -> Any:
    """Return lm-eval's HFLM around the scorer's model. The class is defined in a function, since lm_eval is imported late."""
    from lm_eval.models.huggingface import HFLM

    class SharedContextLM(HFLM):
        """An HFLM that computes log-probabilities by token trees, in which the choices of an item share its context."""

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
    """Return context and continuation; cut the beginning of what is too long for the model, as HFLM does."""
    _, context, continuation = request
    excess = len(context) + len(continuation) - (max_length + 1)  # the last token is predicted and not an input
    return tuple(context[max(excess, 0) :]), tuple(continuation)


@torch.no_grad()
def loglikelihoods(
    scorer: Scorer, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], progress: bool = False
) -> list[tuple[float, bool]]:
    """Return for each pair (context, continuation) of token ids log P(continuation | context), and whether it is greedy."""
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
    """Yield each row of a batch with log P of its edges' tokens, and whether these are the most probable, (edges,) each."""
    for row, hidden in zip(rows, scorer.hidden(rows).split([len(row) for row in rows]), strict=True):
        nodes, tokens = (torch.tensor(each, device=scorer.device) for each in zip(*row.edges, strict=True))
        parts = []
        for node, token in zip(nodes.split(PREDICTIONS), tokens.split(PREDICTIONS), strict=True):
            log_probs = scorer.log_probs(hidden[node])
            parts.append((log_probs.gather(1, token[:, None]).squeeze(1).double(), log_probs.argmax(dim=-1) == token))
        logprobs, greedy = (torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True))
        yield row, logprobs, greedy


def _right_or_wrong(samples: list[dict[str, Any]]) -> Correct:
    """Return the metrics of a task's logged samples that are 0 or 1 for each item, in the order of the items."""
    values: dict[str, list[Any]] = {}
    for sample in samples:
        for metric in sample["metrics"]:
            name = metric if sample["filter"] == "none" else f"{metric},{sample['filter']}"
            values.setdefault(name, []).append(sample[metric])
    binary = {name: own for name, own in values.items() if all(np.isscalar(each) and each in (0, 1) for each in own)}
    return {name: np.array(own, dtype=bool) for name, own in binary.items()}


@contextmanager
def no_task_bars() -> Iterator[None]:
    """Hide lm-eval's progress bars for building each task's prompts within the context; MMLU alone has 57 tasks."""
    from lm_eval.api import task

    bar = task.tqdm
    task.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        task.tqdm = bar
