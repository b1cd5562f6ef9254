"""The exceptions that commands print as one line, and helpers for their messages."""

import signal
import traceback
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from reprlib import Repr


class UserError(ValueError):
    """Bad input; exit code 2. The message is one line that names the option, its value and what was expected."""


class RunError(RuntimeError):
    """A fault during a run with valid options; exit code 1. The message is one line."""


def unknown_choice(option: str, value: object, choices: Iterable[str]) -> UserError:
    """Return the error for ``option=value`` if value is none of choices."""
    return UserError(f"{option}={value}: expected one of {', '.join(sorted(choices))}")


def check_seed(option: str, value: int) -> None:
    """Raise UserError unless value is a seed that every generator accepts."""
    if not 0 <= value < 2**32:
        raise UserError(f"{option}={value}: expected an integer from 0 to 2**32 - 1")


def visible(text: str, keep: str = "") -> str:
    """Return a text for the terminal: control characters, which names in files may hold, are replaced by escapes such as \\x1b.

    keep: those that are not replaced.
    """
    return "".join(
        each if each.isprintable() or each in keep or unicodedata.category(each) == "Zs" else ascii(each)[1:-1] for each in text
    )


# Until the packages that use them are merged.


class ContractError(UserError):
    """An invalid return value of an environment or a norm. Its code has to change, not the run's options; the run can be resumed
    afterwards."""


def folded(error: BaseException, longest: int = 300) -> str:
    """Return an error's message on one line, shortened; the name of its class if the message is empty."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= longest else text[: longest - 3] + "..."


def raised(error: BaseException) -> str:
    """Describe what a user's own code raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"raised {type(error).__name__} ({folded(error)}){at}"


def is_interruption(error: BaseException) -> bool:
    """Return whether the error is Ctrl-C or was raised by a signal handler, so that the process must stop."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
    frames = traceback.walk_tb(error.__traceback__)
    return isinstance(error, KeyboardInterrupt) or any(frame.f_code in handlers for frame, _ in frames)


_REPR = Repr()
_REPR.maxtuple = _REPR.maxlist = _REPR.maxdict = 20
_REPR.maxstring = _REPR.maxother = 80


def shown(value: object) -> str:
    """Return the representation of a value on one line, shortened."""
    return " ".join(_REPR.repr(value).split())


def import_hint(error: BaseException | None) -> str:
    """Return a hint if a module was not found although it lies in the current folder, else an empty text."""
    while error is not None:
        module = str(getattr(error, "name", None) or "").partition(".")[0]
        if isinstance(error, ImportError) and module and (Path(module).is_dir() or Path(f"{module}.py").is_file()):
            return f"; {module} is in the current folder: put PYTHONPATH=. before the command, or install it"
        error = error.__cause__ or error.__context__
    return ""
