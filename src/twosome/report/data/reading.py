"""Read files of runs; each error names the file, the reason and the remedy."""

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from twosome.errors import UserError
from twosome.plain import read_json, read_yaml
from twosome.report.data import validation

AGAIN = "run it again"
"""The remedy where a run's folder is damaged."""


def read_map(file: Path, remedy: str = AGAIN) -> dict[str, Any]:
    """Read a YAML or JSON file that holds a map. Raises UserError."""
    return _read(file, read_yaml if file.suffix == ".yaml" else lambda path: read_json(path, dict), remedy)


def read_list(file: Path, remedy: str = AGAIN) -> list[Any]:
    """Read a JSON file that holds a list. Raises UserError."""
    return _read(file, lambda path: read_json(path, list), remedy)


def _read(file: Path, read: Callable[[Path], Any], remedy: str) -> Any:
    try:
        content = read(file)
        validation.check_encodable(content)
        return content
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise UserError(f"{file}: expected a readable file ({_reason(error)}); {remedy}") from None


def read_table(
    file: Path, columns: Mapping[str, type], missing: Collection[str] = (), optional: Collection[str] = ()
) -> pd.DataFrame:
    """Read these columns of a run's CSV file. Raises UserError.

    missing: those that may lack a number. optional: those that may not be there, and are then nan.
    """
    given = read_csv(file, AGAIN)
    absent = [name for name in columns if name not in given]
    if needed := [name for name in absent if name not in optional]:
        raise UserError(f"{file}: expected a column {needed[0]}; the run is of another version, {AGAIN}")
    given = given.assign(**dict.fromkeys(absent, math.nan))
    return validation.table(given, columns, str(file), AGAIN, text=True, missing=(*missing, *absent))


def read_csv(file: Path, remedy: str, **options: Any) -> pd.DataFrame:
    """Read a CSV file; options are those of pandas.read_csv. Raises UserError."""
    try:
        return pd.read_csv(file, **options)
    except (ValueError, OSError) as error:
        raise UserError(f"{file}: expected a readable table ({_reason(error)}); {remedy}") from None


def _reason(error: Exception) -> str:
    """The message of an error on one line."""
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
