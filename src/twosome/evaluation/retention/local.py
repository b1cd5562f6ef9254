"""Benchmarks from local files, <data_dir>/<task>.jsonl: one JSON object per line, with the field names that lm-eval reads.

Each line is checked before anything is computed, and converted to the form that the data has on huggingface.co.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twosome.errors import UserError

Record = dict[str, Any]
LETTERS = 4  # the number of choices of MMLU's and HellaSwag's questions
UNFINISHED = re.compile(r"(.*[.!?]['\")]*) ([a-z].*)", re.DOTALL)


class FieldError(ValueError):
    """A bad field of a record. name: of the field. expected: what was expected, in words."""

    def __init__(self, record: Record, name: str, expected: str) -> None:
        found = f"found {json.dumps(record[name])[:60]}" if name in record else "there is none"
        super().__init__(f"field {name}: expected {expected}, {found}")


def read(file: Path, task: str) -> list[Record]:
    """Read the items of a task's file; raise UserError that names the file, line and field of an error."""
    try:
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")  # splitlines would also split within some texts
    except OSError as error:
        raise UserError(
            f"retention.data_dir={file.parent}: expected {file.name} in it ({error.strerror}); docs/retention.md describes "
            "the files; or leave the task out of retention.tasks"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: expected UTF-8 text ({error}); write it again, as docs/retention.md describes") from None
    return [_record(f"{file}, line {number}", line, task) for number, line in enumerate(lines, 1)]


def _record(place: str, line: str, task: str) -> Record:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("expected a JSON object")
        return FORMATS[task](record)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: expected a JSON object ({error}); correct the line") from None
    except ValueError as error:
        raise UserError(f"{place}: {error}; correct the line, docs/retention.md describes the fields") from None


def arc_challenge(record: Record) -> Record:
    """Check a record with the fields question, choices {text, label}, and answerKey: one of the labels."""
    choices = record.get("choices")
    if not (isinstance(choices, dict) and set(choices) >= {"text", "label"}):
        raise FieldError(record, "choices", "an object with text and label")
    text, label = _texts(choices, "text"), _texts(choices, "label")
    if len(text) != len(label) or len(text) < 2:
        raise FieldError(record, "choices", "as many texts as labels, two at least")
    if record.get("answerKey") not in label:
        raise FieldError(record, "answerKey", f"one of the labels {', '.join(label)}")
    return {"question": _text(record, "question"), "choices": {"text": text, "label": label}, "answerKey": record["answerKey"]}


def hellaswag(record: Record) -> Record:
    """Check a record with the fields activity_label, endings (4), label (0 to 3), and ctx_a and ctx_b, or ctx.

    ctx is ctx_a and ctx_b joined by a space. lm-eval capitalises ctx_b, the unfinished sentence that the endings complete. In ctx
    it is the part after the last full stop, if that begins with a lower-case letter.
    """
    if "ctx_a" in record or "ctx_b" in record:
        first, second = _text(record, "ctx_a"), _text(record, "ctx_b", empty=True)
    else:
        context = _text(record, "ctx")
        found = UNFINISHED.fullmatch(context)
        first, second = found.groups() if found else (context, "")
    endings = _texts(record, "endings", LETTERS)
    label = str(_index(record, "label", LETTERS, quoted=True))
    return {
        "activity_label": _text(record, "activity_label"),
        "ctx_a": first,
        "ctx_b": second,
        "endings": endings,
        "label": label,
    }


def piqa(record: Record) -> Record:
    """Check a record with the fields goal, sol1, sol2 and label (0: sol1, 1: sol2)."""
    return {name: _text(record, name) for name in ("goal", "sol1", "sol2")} | {"label": _index(record, "label", 2)}


def mmlu(record: Record) -> Record:
    """Check a record with the fields subject, question, choices (4) and answer (0 to 3)."""
    texts = {name: _text(record, name) for name in ("subject", "question")}
    return texts | {"choices": _texts(record, "choices", LETTERS), "answer": _index(record, "answer", LETTERS)}


FORMATS: dict[str, Callable[[Record], Record]] = {format.__name__: format for format in (arc_challenge, hellaswag, piqa, mmlu)}
"""The tasks that can be read from local files, with the function that checks and converts a line's record."""


def _text(record: Record, name: str, empty: bool = False) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise FieldError(record, name, "a text")
    return value


def _texts(record: Record, name: str, number: int | None = None) -> list[str]:
    value = record.get(name)
    whole = isinstance(value, list) and all(isinstance(each, str) and each.strip() for each in value)
    if not whole or number not in (None, len(value or ())):
        raise FieldError(record, name, f"a list of {number or 'some'} texts")
    return list(value or ())


def _index(record: Record, name: str, number: int, quoted: bool = False) -> int:
    """Return an integer field from 0 to number - 1. quoted: whether the digit may be in quotes, as HellaSwag's is."""
    value = record.get(name)
    if quoted and isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < number:
        raise FieldError(record, name, f"an integer from 0 to {number - 1}")
    return value
