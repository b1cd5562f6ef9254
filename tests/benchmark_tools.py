"""Benchmark files of a few items, made for the tests."""

import json
from pathlib import Path
from typing import Any

SUBJECTS = ("anatomy", "virology", "world_religions")
ITEMS: dict[str, list[dict[str, Any]]] = {
    "arc_challenge": [
        {"id": f"a{n}", "question": f"Which of these {n} things is in the kitchen?", "answerKey": "ABCD"[n % 4],
         "choices": {"text": ["a tomato", "the wide sea", "a cloud of dust", "no"], "label": list("ABCD")}}
        for n in range(6)
    ],
    "hellaswag": [
        {"ind": n, "activity_label": "Cooking", "label": str(n % 4),
         "ctx": f"A person takes {n} bowls. She fills them. the person",
         "endings": ["puts them on the table.", "sleeps.", "chops a [small] tomato  and serves it.", "turns left, then right."]}
        for n in range(5)
    ],
    "piqa": [
        {"goal": f"Carry {n} bowls.", "sol1": "Take a tray.", "sol2": "Take the television and walk away.", "label": n % 2}
        for n in range(5)
    ],
    "mmlu": [
        {"subject": subject, "question": f"What is number {n}?\n", "choices": ["one", "two", "three", "four"], "answer": n % 4}
        for n in range(4) for subject in SUBJECTS
    ],
}  # fmt: skip


def write_benchmarks(folder: Path, changes: dict[str, Any] | None = None, task: str = "", line: int = 1) -> Path:
    """Write the four files. changes: fields of one line of a task, None for a field that is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in ITEMS.items():
        records = [dict(item) for item in items]
        if name == task:
            wanted = records[line - 1] | (changes or {})
            records[line - 1] = {key: value for key, value in wanted.items() if value is not None}
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder
