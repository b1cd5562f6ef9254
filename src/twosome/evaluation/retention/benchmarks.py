"""The benchmarks of suite=retention: lm-eval's tasks, asked of a loaded model before training and after.

lm-eval defines the requests, their tokens and the metrics. The suite's engine computes the log-probabilities: lm-eval's own HFLM
repeats the context for each choice and projects every position onto the vocabulary. lm_eval is an optional package, so it is
imported in functions.
"""

import hashlib
import json
import logging
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from twosome.errors import UserError
from twosome.evaluation.retention.drift import characters, spread
from twosome.evaluation.retention.paired import compare
from twosome.language.gate import engine_of
from twosome.language.loading import LanguageModel
from twosome.language.rows import Rows
from twosome.language.scorer import Scorer
from twosome.language.tokens import TokenizedDecision

FOLDERS = {"arc_challenge": "arc", "hellaswag": "hellaswag", "piqa": "piqa", "mmlu": "mmlu/default"}
"""The paper's benchmarks, and the folders of their definitions in lm-eval. Reading all of lm-eval's definitions takes long."""
FIELDS = {
    "arc_challenge": ("question", "choices", "answerKey"),
    "hellaswag": ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
    "piqa": ("goal", "sol1", "sol2", "label"),
    "mmlu": ("subject", "question", "choices", "answer"),
}
"""The tasks that can be read from local files, and the fields that lm-eval reads."""
UNFINISHED = re.compile(r"(.*[.!?]['\")]*) ([a-z].*)", re.DOTALL)
OUTCOMES = "-lgr"
"""An item's outcome: "-" wrong before and after, "l" lost (right before only), "g" gained (after only), "r" right both times."""
GENERATED = 8  # batch size of tasks that generate texts; for other tasks a forward pass has batch_tokens

Correct = dict[str, np.ndarray]
"""For each metric, whether each item was answered correctly, (items,), bool."""
Tokens = tuple[int, ...]
Request = tuple[Any, Sequence[int], Sequence[int]]
"""A request of lm-eval: texts, tokens of the context, tokens of the continuation."""


@dataclass
class BenchmarkConfig:
    """The options of suite=retention; see conf/evaluate.yaml."""

    tasks: list[str] = field(default_factory=lambda: list(FOLDERS))
    data_dir: str | None = None
    limit: int | None = None
    batch_tokens: int = 2048


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its data.

    tasks: lm-eval's tasks by name: one, or those of a group. chosen: for each task, the indices of the chosen documents.
    checksum: sha256 (hex) of the chosen documents. Equal documents have equal results, also from different sources.
    """

    name: str
    tasks: dict[str, Any]
    chosen: dict[str, list[int]]
    checksum: str

    @property
    def items(self) -> int:
        """The number of chosen documents."""
        return sum(map(len, self.chosen.values()))

    @classmethod
    def of(cls, name: str, tasks: dict[str, Any], limit: int | None) -> "Benchmark":
        """Return the benchmark, or limit items of it."""
        documents = {task: tasks[task].eval_docs for task in sorted(tasks)}
        chosen = choose({task: len(own) for task, own in documents.items()}, limit)
        digest = hashlib.sha256()
        for task, indices in chosen.items():
            asked = [documents[task][index] for index in indices]
            digest.update(json.dumps([task, asked], sort_keys=True, default=str).encode())
        return cls(name, {task: tasks[task] for task in chosen}, chosen, digest.hexdigest())


def load(config: BenchmarkConfig) -> list[Benchmark]:
    """Load the benchmarks of the options. Raises UserError for unknown tasks, and if there is no local file of a task."""
    try:
        from lm_eval import tasks as package
    except ImportError as error:
        raise UserError("suite=retention: expected the package lm-eval; pip install lm-eval==0.4.13") from error
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if set(config.tasks) <= set(FOLDERS):
        root = Path(package.__path__[0])
        manager = package.TaskManager(include_defaults=False, include_path=[root / FOLDERS[name] for name in config.tasks])
    else:
        manager = package.TaskManager()
    found = []
    for name in config.tasks:
        if name not in manager.task_index:
            raise UserError(f"retention.tasks={name}: lm-eval has no such task; `lm-eval ls tasks` lists them")
        tasks = manager.load(name if config.data_dir is None else _with_files(name, Path(config.data_dir)))["tasks"]
        found.append(Benchmark.of(name, tasks, config.limit))
    return found


def choose(sizes: dict[str, int], limit: int | None) -> dict[str, list[int]]:
    """Return the indices of the chosen documents of each task: all, or limit in all tasks together.

    sizes: the number of documents of each task. The limit is distributed evenly over the tasks of a group (MMLU's subjects).
    Within a task the chosen items are evenly spaced, since the order of some data sets is not random (HellaSwag's is by source).
    """
    shares = dict.fromkeys(sizes, 0)
    left = sum(sizes.values()) if limit is None else min(limit, sum(sizes.values()))
    while left:
        for name in [name for name in sizes if shares[name] < sizes[name]][:left]:
            shares[name], left = shares[name] + 1, left - 1
    return {name: spread(list(range(sizes[name])), share) for name, share in shares.items() if share}


def _with_files(name: str, folder: Path) -> dict[str, Any]:
    """Return a task's definition with local data: lm-eval's own, as a group, with other documents. Raises UserError."""
    from datasets import Dataset

    grouped: dict[str, list[dict[str, Any]]] = {}
    for record in read_items(folder / f"{name}.jsonl", name):
        grouped.setdefault(f"mmlu_{record['subject']}" if name == "mmlu" else name, []).append(record)

    def overrides(task: str) -> dict[str, Any]:
        data = Dataset.from_list(grouped[task])
        splits = {"training_split": None, "fewshot_split": None, "validation_split": None, "test_split": "test"}
        return {"task": task, "custom_dataset": lambda **_: {"test": data}, "dataset_kwargs": {}} | splits

    return {"group": "local", "task": [overrides(task) for task in sorted(grouped)]}


def read_items(file: Path, task: str) -> list[dict[str, Any]]:
    """Read a task's items, one JSON object per line, as they are on huggingface.co. Raises UserError without such a file.

    HellaSwag may have ctx, which is ctx_a and ctx_b joined by a space, in their place. lm-eval capitalises ctx_b, the unfinished
    sentence that the endings complete. In ctx it is the part after the last full stop, if that begins with a lower-case letter.
    """
    if task not in FIELDS or not file.is_file():
        raise UserError(
            f"retention.data_dir={file.parent}: expected {file.name} in it, of {', '.join(FIELDS)}; docs/retention.md"
        )
    records = []
    for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n"):  # splitlines would also split within some texts
        record = json.loads(line)
        if task == "hellaswag":
            if "ctx_a" not in record:
                found = UNFINISHED.fullmatch(record["ctx"])
                record["ctx_a"], record["ctx_b"] = found.groups() if found else (record["ctx"], "")
            record["label"] = str(record["label"])
        records.append({name: record[name] for name in FIELDS[task]})
    return records


class Harness:
    """An evaluation of a language model by lm-eval's tasks. The model is not copied."""

    def __init__(self, lm: LanguageModel, batch_tokens: int) -> None:
        """batch_tokens: tokens per forward pass."""
        self.lm = lm
        self.engine = engine_of(lm, characters, batch_tokens)
        assert isinstance(self.engine, Scorer | Rows)  # the model is decoder-only
        self.hflm = _shared_context_model(self.engine)

    def ask(self, benchmark: Benchmark, trained: bool) -> Correct:
        """Return whether each item is answered correctly, for each of lm-eval's metrics that is 0 or 1 per item.

        trained: whether by the trained model, or by the one before training. A metric has lm-eval's name ("acc", "acc_norm"),
        followed by its filter's if it has one. Raises UserError if the tasks have no such metric in common, since McNemar's test
        needs right or wrong answers.
        """
        from lm_eval.evaluator import evaluate

        for task in benchmark.tasks.values():
            if task.get_config("num_fewshot") is None:  # as in lm-eval's own command
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=1234)
        self.lm.model.eval()
        with nullcontext() if trained else self.lm.reference():
            found = evaluate(lm=self.hflm, task_dict={"tasks": benchmark.tasks}, samples=benchmark.chosen, bootstrap_iters=0)
        assert found is not None  # it is None only on ranks other than 0 of a distributed evaluation
        correct = [_right_or_wrong(found["samples"][name]) for name in benchmark.tasks]
        common = [metric for metric in correct[0] if all(metric in each for each in correct)]
        if not common:
            raise UserError(f"retention.tasks={benchmark.name}: expected a task with a metric that is 0 or 1 for each item")
        return {metric: np.concatenate([each[metric] for each in correct]) for metric in common}


def _shared_context_model(engine: Scorer | Rows) -> Any:
    """Return lm-eval's HFLM around the engine's model."""
    from lm_eval.models.huggingface import HFLM

    class SharedContextLM(HFLM):
        """An HFLM that computes log-probabilities by token trees, in which the choices of an item share its context."""

        def _loglikelihood_tokens(
            self, requests: Sequence[Request], disable_tqdm: bool = False, override_bs: int | None = None
        ) -> list[tuple[float, bool]]:
            pairs, cut = [], 0
            for _, context, continuation in requests:
                assert 0 < len(continuation) <= self.max_length  # as in HFLM
                excess = max(0, len(context) + len(continuation) - (self.max_length + 1))  # the last token is not an input
                pairs.append((tuple(context[excess:]), tuple(continuation)))
                cut += excess > 0
            if cut:
                shortened = f"{cut} of {len(pairs)} texts are longer than the model's context"
                print(f"warning: {shortened}: the beginning is left out, as by lm-eval's own model", file=sys.stderr)
            return loglikelihoods(engine, pairs, not disable_tqdm)

    return SharedContextLM(pretrained=engine.lm.model, tokenizer=engine.lm.tokenizer, batch_size=GENERATED)


@torch.no_grad()
def loglikelihoods(
    engine: Scorer | Rows, pairs: Sequence[tuple[Tokens, Tokens]], progress: bool = False
) -> list[tuple[float, bool]]:
    """Return for each pair (context, continuation) of token ids log P(continuation | context), and whether it is greedy."""
    grouped: dict[Tokens, dict[Tokens, None]] = {}
    for context, continuation in pairs:
        grouped.setdefault(context, {})[continuation] = None
    decisions = [TokenizedDecision(context, tuple(continuations)) for context, continuations in grouped.items()]
    found: dict[tuple[Tokens, Tokens], tuple[float, bool]] = {}
    with tqdm(total=len(decisions), disable=not progress, unit="item") as bar:
        for index, likelihoods in engine.likelihoods(decisions):
            context, continuations = decisions[index]
            found |= {(context, each): likelihood for each, likelihood in zip(continuations, likelihoods, strict=True)}
            bar.update()
    return [found[pair] for pair in pairs]


def _right_or_wrong(samples: list[dict[str, Any]]) -> Correct:
    """Return the metrics of a task's logged samples that are 0 or 1 for each item, in the order of the items."""
    values: dict[str, list[Any]] = {}
    for sample in samples:
        for metric in sample["metrics"]:
            name = metric if sample["filter"] == "none" else f"{metric},{sample['filter']}"
            values.setdefault(name, []).append(sample[metric])
    binary = {name: own for name, own in values.items() if all(np.isscalar(each) and each in (0, 1) for each in own)}
    return {name: np.array(own, dtype=bool) for name, own in binary.items()}


def comparison(benchmark: Benchmark, before: Correct, after: Correct, local: bool) -> dict[str, Any]:
    """Return a benchmark's entry in retention.json: the paired comparison of each metric, and the outcome of each item."""
    metrics = {}
    for name in before:
        letters = "".join(OUTCOMES[old + 2 * new] for old, new in zip(before[name].tolist(), after[name].tolist(), strict=True))
        metrics[name] = compare(before[name], after[name]) | {"outcomes": letters}
    source, version = "local files" if local else "hub", metadata.version("lm_eval")
    return {"lm_eval": version, "source": source, "data": benchmark.checksum, "items": benchmark.items, "metrics": metrics}
