"""The benchmarks: lm-eval's own task definitions, with data from the hub or from local files, and the choice of items.

lm_eval is imported in functions: it takes seconds, and only suite=retention needs it.
"""

import hashlib
import importlib.util
import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from twosome.errors import UserError, unknown_choice
from twosome.evaluation.retention import local
from twosome.evaluation.retention.texts import spread

FOLDERS = {"arc_challenge": "arc", "hellaswag": "hellaswag", "piqa": "piqa", "mmlu": "mmlu/default"}
"""The paper's benchmarks, and the folders of their definitions in lm-eval. Reading all of lm-eval's definitions takes long."""
NAMES = re.compile(r"""^["']?(?:task|group)["']?: *["']?([\w-]+)["']?\s*$""", re.MULTILINE)


@dataclass
class BenchmarkConfig:
    """The options of suite=retention; see conf/evaluate.yaml."""

    tasks: list[str] = field(default_factory=lambda: list(FOLDERS))
    data_dir: str | None = None
    limit: int | None = None
    batch_tokens: int = 2048

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise UserError(f"retention.tasks={self.tasks}: expected the names of one or more tasks, each once")
        if self.data_dir is not None:
            for name in self.tasks:
                if name not in local.FORMATS:
                    raise unknown_choice("retention.tasks", name, local.FORMATS)
            if not Path(self.data_dir).is_dir():
                raise UserError(f"retention.data_dir={self.data_dir}: no such folder; docs/retention.md describes what is in it")
        for name, value in (("limit", self.limit), ("batch_tokens", self.batch_tokens)):
            if value is not None and value < 1:
                raise UserError(f"retention.{name}={value}: expected an integer above 0")


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
        """Return the benchmark, or limit items of it; raise UserError for a task that has no right or wrong answers."""
        if any(task.OUTPUT_TYPE == "loglikelihood_rolling" for task in tasks.values()):
            raise UserError(
                f"retention.tasks={name}: expected a task whose answers are right or wrong; this one measures perplexity, which "
                "suite=drift does on bundled texts"
            )
        documents = {task: tasks[task].eval_docs for task in sorted(tasks)}
        chosen = choose({task: len(own) for task, own in documents.items()}, limit)
        digest = hashlib.sha256()
        for task, indices in chosen.items():
            asked = [documents[task][index] for index in indices]
            digest.update(json.dumps([task, asked], sort_keys=True, default=str).encode())
        return cls(name, {task: tasks[task] for task in chosen}, chosen, digest.hexdigest())


def load(config: BenchmarkConfig) -> list[Benchmark]:
    """Load the benchmarks of the options; raise UserError for unknown tasks, bad data, and data that cannot be loaded."""
    version()
    records = {}
    if config.data_dir is not None:
        records = {name: local.read(Path(config.data_dir) / f"{name}.jsonl", name) for name in config.tasks}
    with quiet():
        manager = _manager(config.tasks)
        if records:
            found = {name: _from_files(manager, name, Path(str(config.data_dir)), own) for name, own in records.items()}
        else:
            with reachable_hub():
                found = {name: _from_hub(manager, name) for name in config.tasks}
        return [Benchmark.of(name, tasks, config.limit) for name, tasks in found.items()]


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


def version() -> str:
    """Return lm-eval's version; raise UserError if it is not installed."""
    try:
        return metadata.version("lm_eval")
    except metadata.PackageNotFoundError:
        raise UserError(
            "suite=retention: expected the package lm-eval; run make install, or pip install lm-eval==0.4.13"
        ) from None


def _manager(names: Sequence[str]) -> Any:
    """Return lm-eval's task manager, with these tasks at least; raise UserError if one is unknown."""
    spec = importlib.util.find_spec("lm_eval")
    root = Path(str(spec.origin)).parent / "tasks"  # type: ignore[union-attr]  # version() found it
    if others := [name for name in names if name not in FOLDERS]:
        files = (file for file in sorted(root.rglob("*yaml*")) if file.suffix not in (".py", ".pyc"))
        text = "\n".join(file.read_text(encoding="utf-8") for file in files)  # takes 0.5 s; parsing them takes many seconds
        for name in others:
            if name not in text:
                raise _unknown(name, NAMES.findall(text))
    from lm_eval.tasks import TaskManager

    if not others:
        return TaskManager(include_defaults=False, include_path=[root / FOLDERS[name] for name in names])
    manager = TaskManager()
    for name in others:
        if name not in manager.all_tasks:
            raise _unknown(name, manager.all_tasks)
    return manager


def _unknown(name: str, known: Sequence[str]) -> UserError:
    """Return the error for a task that lm-eval does not have. It does not list all tasks, since there are thousands."""
    _, mark, hint = str(unknown_choice("retention.tasks", name, set(known))).rpartition("; did you mean ")
    near = f"; did you mean {hint}" if mark else "; `lm-eval ls tasks` lists them"
    return UserError(f"retention.tasks={name}: lm-eval {version()} has no such task{near}")


def _from_hub(manager: Any, name: str) -> dict[str, Any]:
    """Return a task of lm-eval, or the tasks of a group, with data from the hub; raise UserError if it cannot be loaded."""
    try:
        return manager.load(name)["tasks"]
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(
            f"retention.tasks={name}: cannot get its data ({line}); connect once, so that it is kept in Hugging Face's cache; or "
            "name local files, retention.data_dir=<folder>, as docs/retention.md describes; suite=drift needs no data"
        ) from error


def _from_files(manager: Any, name: str, folder: Path, records: list[local.Record]) -> dict[str, Any]:
    """Return the same tasks with local data: lm-eval's definitions with other documents. Raises UserError."""
    from datasets import Dataset

    grouped: dict[str, list[local.Record]] = {}
    for number, record in enumerate(records, 1):
        task = f"{name}_{record['subject']}" if name == "mmlu" else name
        if task not in manager.task_index:
            near = str(unknown_choice("subject", record["subject"], _subjects(manager)))
            raise UserError(f"{folder / name}.jsonl, line {number}: field {near}")
        grouped.setdefault(task, []).append(record)

    def overrides(task: str) -> dict[str, Any]:
        data = Dataset.from_list(grouped[task])
        splits = {"training_split": None, "fewshot_split": None, "validation_split": None, "test_split": "test"}
        return {"task": task, "custom_dataset": lambda **_: {"test": data}, "dataset_kwargs": {}} | splits

    return manager.load({"group": "local", "task": [overrides(task) for task in sorted(grouped)]})["tasks"]


def _subjects(manager: Any) -> list[str]:
    return [name.removeprefix("mmlu_") for name in manager.all_subtasks if name.startswith("mmlu_")]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence lm-eval and datasets within the context; errors are still raised."""
    import datasets

    logger = logging.getLogger("lm_eval")
    before, bars = logger.level, datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(before)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def reachable_hub() -> Iterator[None]:
    """Let Hugging Face's libraries use only their cache within the context if the hub does not answer, to avoid long retries."""
    import datasets
    import huggingface_hub.constants as hub
    from huggingface_hub.utils import get_session

    before = hub.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    try:
        get_session().head(hub.ENDPOINT, timeout=4)
    except Exception:  # errors of several libraries: no name, no route, no answer, or offline mode is set
        hub.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
