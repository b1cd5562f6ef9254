"""What a model answered, kept: by what it follows from in a cache that all runs share, and compared in the run's folder."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from twosome.errors import UserError
from twosome.evaluation.retention.benchmarks import Benchmark, version
from twosome.evaluation.retention.harness import Correct
from twosome.evaluation.retention.paired import compare
from twosome.files import write_atomic
from twosome.language.smollm2 import cache_root

OUTCOMES = "-lgr"
"""An item's letter: right neither before nor after, lost (right before only), gained (after only), right both times."""


def kept(key: dict[str, Any], ask: Callable[[], Correct]) -> Correct:
    """The answers that a key leads to, from the cache; or asked now, and put there before they are returned.

    key: all that the answers follow from, as JSON. Raises UserError where the cache cannot be written.
    """
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    file = cache_root() / "retention" / f"{name[:32]}.json"
    if file.exists():
        found = json.loads(file.read_text())
        if found["key"] == key:
            return {metric: np.array(list(letters)) == "1" for metric, letters in found["correct"].items()}
    correct = ask()
    letters = {metric: "".join("01"[int(each)] for each in own) for metric, own in correct.items()}
    try:
        write_atomic(file, json.dumps({"key": key, "correct": letters}, indent=2) + "\n")
    except OSError as error:
        raise UserError(
            f"TWOSOME_CACHE={cache_root()}: cannot keep results there ({error.strerror or error}); set TWOSOME_CACHE to a "
            "writable folder"
        ) from error
    return correct


def file_checksum(folder: Path) -> str:
    """sha256 (hex) of an adapter's folder: names and bytes of its files."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("adapter_*")):
        digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def comparison(benchmark: Benchmark, before: Correct, after: Correct, local: bool) -> dict[str, Any]:
    """A benchmark's entry in retention.json: for each metric the paired comparison, and an outcome's letter for each item."""
    metrics = {}
    for name in before:
        letters = "".join(OUTCOMES[old + 2 * new] for old, new in zip(before[name].tolist(), after[name].tolist(), strict=True))
        metrics[name] = asdict(compare(before[name], after[name])) | {"outcomes": letters}
    source = "local files" if local else "hub"
    return {"lm_eval": version(), "source": source, "data": benchmark.checksum, "items": benchmark.items, "metrics": metrics}
