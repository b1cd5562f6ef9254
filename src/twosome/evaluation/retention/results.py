"""The answers of models to benchmarks: a cache that all runs share, and the comparison for a run's folder."""

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
from twosome.files import cache_root, sha256, write_atomic

OUTCOMES = "-lgr"
"""An item's outcome: "-" wrong before and after, "l" lost (right before only), "g" gained (after only), "r" right both times."""


def cached(key: dict[str, Any], ask: Callable[[], Correct]) -> Correct:
    """Return the answers of a key from the cache; if they are not cached, call ask and cache its result.

    key: everything that determines the answers, as JSON. Raises UserError if the cache cannot be written.
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
    """Return the sha256 (hex) of an adapter's folder, from the names and bytes of its files."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("adapter_*")):
        digest.update(f"{file.name} {sha256(file)}\n".encode())
    return digest.hexdigest()


def comparison(benchmark: Benchmark, before: Correct, after: Correct, local: bool) -> dict[str, Any]:
    """Return a benchmark's entry in retention.json: the paired comparison of each metric, and the outcome of each item."""
    metrics = {}
    for name in before:
        letters = "".join(OUTCOMES[old + 2 * new] for old, new in zip(before[name].tolist(), after[name].tolist(), strict=True))
        metrics[name] = asdict(compare(before[name], after[name])) | {"outcomes": letters}
    source = "local files" if local else "hub"
    return {"lm_eval": version(), "source": source, "data": benchmark.checksum, "items": benchmark.items, "metrics": metrics}
