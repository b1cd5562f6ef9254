"""Check types and ranges of what the files of a run hold. A folder may be damaged, old, or made by anybody."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from twosome.errors import UserError, shown
from twosome.plain import walk

NAME = 200  # characters of a task, a method, ...
LARGEST = 1e100  # of numbers: their squares can still be added up
LARGEST_INT = 2**32 - 1
STEPS = 10**8  # for each window of which memory is needed

SHARES = ("success_rate", "before", "after", "acc", "acc_norm", "p_value", "top1_agreement")
FROM_0 = (
    *("seconds", "rollout_seconds", "update_seconds", "optimizer_steps"),
    *("return_std", "decisions_mean", "primitive_steps_mean"),
)
FROM_1 = ("step", "env_step", "decisions", "episodes", "items")
ANY_LENGTH = ("config", "choices", "provenance", "options", "outcomes")
"""Columns, by what they may hold besides what their type says."""
TRUTH = {True: True, False: False, "True": True, "False": False}


def check_encodable(content: Any) -> None:
    """Raise ValueError where text cannot be written as UTF-8, or a number is too large to be computed with."""
    for keys, value in walk([content]):
        if isinstance(value, int) and value.bit_length() > 1024:
            raise ValueError("it holds a number that is too large")
        for text in (*keys, *([value] if isinstance(value, str) else [])):
            text.encode()  # half of a pair of surrogates cannot be


def entry(content: Any, path: Sequence[str], kind: type, where: str, remedy: str) -> Any:
    """Return the entry of a file's content at a path. Raises UserError where it is not of a kind (dict or list)."""
    found = content
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, kind):
        expected = "a mapping" if kind is dict else "a list"
        raise UserError(f"{where}: {'.'.join(path)}: expected {expected}, found {shown(found)}; {remedy}")
    return found


def is_name(value: Any, longest: int = NAME) -> bool:
    """Return whether a value is text of one line."""
    return isinstance(value, str) and value.isprintable() and len(value) <= longest


def _is_seed(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_INT


Rule = tuple[str, str, Callable[[Any], bool], str]
A_NAME = f"a name of one line and at most {NAME} characters"
RULES: Sequence[Rule] = (
    ("config", "seed", _is_seed, f"a whole number from 0 to {LARGEST_INT}"),
    ("config", "baseline", lambda value: isinstance(value, dict), "options of a baseline"),
    ("config", "env", lambda value: isinstance(value, dict), "options of an environment"),
    ("config", "env.id", is_name, A_NAME),
    *(("config", f"env.{name}", lambda value: value is None or is_name(value), A_NAME) for name in ("task", "prompt")),
    *(("choices", name, is_name, A_NAME) for name in ("env", "norm", "baseline")),
    *(
        ("provenance", name, lambda value: value is None or is_name(value), A_NAME)
        for name in ("model", "model_checksum", "git_commit", "started", "finished", "task", "method", "label")
    ),
)
"""What figures read of a run's configuration, its choices and its provenance: where, which entry, a test, what is expected."""


def check_origin(contents: Mapping[str, dict[str, Any]], where: Mapping[str, str], remedy: str) -> None:
    """Raise UserError where a run's config, choices or provenance break a rule. where: how an error calls each of them."""

    def check(name: str, path: str, value: Any, test: Callable[[Any], bool], expected: str) -> None:
        if not test(value):
            raise UserError(f"{where[name]}: {path}: expected {expected}, found {shown(value)}; {remedy}")

    for name, path, test, expected in RULES:
        found: Any = contents[name]
        for step in path.split("."):
            found = found.get(step)
        check(name, path, found, test, expected)
    for name, options in (("config", contents["config"]["baseline"]), ("choices", contents["choices"])):
        for path, value in options.items():  # options that are text name variants of the method
            if isinstance(value, str):
                check(name, f"baseline.{path}" if name == "config" else path, value, is_name, A_NAME)


def table(
    given: pd.DataFrame,
    columns: Mapping[str, type],
    where: str,
    remedy: str,
    text: bool = False,
    missing: Collection[str] = (),
    zero: Collection[str] = (),
) -> pd.DataFrame:
    """Return a table's columns, each converted to its type. Raises UserError that names the first entry of another type or range.

    where: the file. remedy: what to do. text: whether numbers may be written as text. missing: columns that may lack a number,
    which is then nan. zero: those of FROM_1 that may be 0 in this table. Rows are called by their index: by its labels where
    these are text, otherwise by their number.
    """
    found = {}
    for name, kind in columns.items():
        found[name], good, expected = _column(given[name], name, kind, text, name in missing, name in zero)
        bad = np.flatnonzero(~good.to_numpy(bool))
        if len(bad):
            label = given.index[bad[0]]
            row = label if isinstance(label, str) else f"row {bad[0] + 1}"
            raise UserError(f"{where}: {row}: {name}: expected {expected}, found {shown(given[name].iloc[bad[0]])}; {remedy}")
    return pd.DataFrame(found, index=given.index).reset_index(drop=True).astype(columns)


def _column(values: pd.Series, name: str, kind: type, text: bool, missing: bool, zero: bool) -> tuple[pd.Series, pd.Series, str]:
    """Return the values converted, which of them are good, and what was expected."""
    if kind is bool:
        truths = values.map(TRUTH)
        return truths, truths.notna(), "True or False"
    if kind is str:
        names = values.map(lambda value: "" if value is None else value)
        longest = 10**7 if name in ANY_LENGTH else NAME
        return names, names.map(partial(is_name, longest=longest)), f"text of one line and at most {longest:,} characters"
    low, high = _range(name, kind)
    low = 0 if zero else low
    numbers = values if values.dtype.kind in "iuf" else values.map(partial(_number, text=text))
    numbers = numbers.astype(float)
    good = numbers.between(low, high) | (numbers.isna() if missing else False)
    good &= (numbers % 1 == 0) if kind is int else True
    return numbers, good, f"a {'whole ' if kind is int else ''}number from {low:g} to {high if kind is int else f'{high:g}'}"


def _range(name: str, kind: type) -> tuple[float, float]:
    if name.removesuffix("_low").removesuffix("_high") in SHARES:
        return 0, 1
    if kind is int:
        return int(name in FROM_1), STEPS if "step" in name else LARGEST_INT
    return 0 if name in FROM_0 else -LARGEST, LARGEST


def _number(value: Any, text: bool) -> float:
    """Return a cell's number; nan where it is empty, infinite where it is something else."""
    if value is None or (text and value == ""):
        return np.nan
    try:
        return float(value) if text or (isinstance(value, int | float) and not isinstance(value, bool)) else np.inf
    except (ValueError, TypeError, OverflowError):
        return np.inf


def rounded(given: pd.DataFrame, columns: Mapping[str, type]) -> pd.DataFrame:
    """Round floats to six significant digits, as they are published."""
    floats = {name: given[name].map(significant) for name, kind in columns.items() if kind is float}
    return given.assign(**floats).astype(columns)


def significant(value: float) -> float:
    """Round to six significant digits."""
    return float(f"{value:.6g}")
