"""The answers of models to benchmarks: a cache that all runs share, and the comparison for a run's folder."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from twosome.evaluation.retention.benchmarks import Benchmark, version
from twosome.evaluation.retention.harness import Correct
from twosome.evaluation.retention.paired import compare
from twosome.files import sha256
from twosome.storage.cache import cached
from twosome.storage.folder import RunFolder

OUTCOMES = "-lgr"
"""An item's outcome: "-" wrong before and after, "l" lost (right before only), "g" gained (after only), "r" right both times."""


def answers(key: dict[str, Any], ask: Callable[[], Correct]) -> Correct:
    """Return whether each item was answered rightly, by metric, from the machine's cache if the key is there, else from ask.

    key: everything that determines the answers, as JSON.
    """

    def asked() -> dict[str, str]:
        return {metric: "".join("01"[int(each)] for each in own) for metric, own in ask().items()}

    return {metric: np.array(list(letters)) == "1" for metric, letters in cached("retention", key, asked).items()}


def trained_weights(folder: RunFolder) -> list[Path]:
    """Return the files that say what a run trained of its language model, an adapter's or all weights; [] without any."""
    every = ((folder.weights("adapter"), "adapter_*"), (folder.weights("model"), "model.safetensors"))
    return next((files for weights, pattern in every if (files := sorted(weights.glob(pattern)))), [])


def checksum_of(files: Sequence[Path]) -> str:
    """Return the sha256 (hex) of files, from their names and bytes."""
    digest = hashlib.sha256()
    for file in files:
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
