"""The exceptions that commands print as one line, and helpers for their messages."""

import errno
import signal
import traceback
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr


class UserError(ValueError):
    """Bad input; exit code 2. The message is one line that names the option, its value, what was expected and how to fix it."""


class RunError(RuntimeError):
    """A fault during a run with valid options; exit code 1. The message is one line with what happened and what to look at."""


class LostProcess(RunError):
    """Another process of the run is gone, or its machine is, or it does not answer."""


class ContractError(UserError):
    """An invalid return value of an environment or a norm. Its code has to change, not the run's options; the run can be resumed
    afterwards."""


def unknown_choice(option: str, value: object, choices: Iterable[str]) -> UserError:
    """Return the error for ``option=value`` if value is none of choices; it suggests the nearest name."""
    names = sorted(choices)
    near = get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {option}={near[0]}?" if near else ""
    return UserError(f"{option}={value}: expected one of {', '.join(names)}{hint}")


def nearest(key: str, names: Iterable[str]) -> str | None:
    """Return the dotted name that key most likely stands for, or None. Names with the same parent come first.

    The name has the same last part as key, or key's last part is its initials (lr for learning_rate) or its ending
    (ppo.epochs for algorithm.update_epochs), or the spelling is similar.
    """
    key = key.strip(".").lower()
    parent, _, last = key.rpartition(".")
    others = {name: name.rpartition(".")[2] for name in names if not key.startswith(f"{name}.")}
    beside = {name: end for name, end in others.items() if name.rpartition(".")[0] == parent}
    near = get_close_matches(last, beside.values(), n=1)
    found = [
        *_abbreviated_by(last, beside),
        *(name for name, end in beside.items() if end in near),
        *_abbreviated_by(last, others),
        *get_close_matches(key, [name for name in others if name not in beside], n=1),
    ]
    return next(iter(found), None)


def _abbreviated_by(short: str, ends: Mapping[str, str]) -> list[str]:
    """Return the names whose last parts, given in ends, short may stand for, the most likely first."""
    initials = {name: "".join(word[:1] for word in end.split("_")) for name, end in ends.items()}
    ranks = {
        name: (end == short, len(short) > 1 and initials[name] == short, end.endswith(f"_{short}")) for name, end in ends.items()
    }
    return sorted((name for name, rank in ranks.items() if any(rank)), key=lambda name: ranks[name], reverse=True)


def check_seed(option: str, value: int) -> None:
    """Raise UserError unless value is a seed that every generator accepts."""
    if not 0 <= value < 2**32:
        raise UserError(f"{option}={value}: expected an integer from 0 to 2**32 - 1")


def folded(error: BaseException, longest: int = 300) -> str:
    """Return an error's message on one line, shortened; the name of its class if the message is empty."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= longest else text[: longest - 3] + "..."


def visible(text: str, keep: str = "") -> str:
    """Return a text for the terminal: control characters, which names in files may hold, are replaced by escapes such as \\x1b.

    keep: those that are not replaced.
    """
    return "".join(
        each if each.isprintable() or each in keep or unicodedata.category(each) == "Zs" else ascii(each)[1:-1] for each in text
    )


def raised(error: BaseException) -> str:
    """Describe what a user's own code raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"raised {type(error).__name__} ({folded(error)}){at}"


def import_hint(error: BaseException | None) -> str:
    """Return a hint if a module was not found although it lies in the current folder, else an empty text."""
    while error is not None:
        module = str(getattr(error, "name", None) or "").partition(".")[0]
        if isinstance(error, ImportError) and module and (Path(module).is_dir() or Path(f"{module}.py").is_file()):
            return f"; {module} is in the current folder: put PYTHONPATH=. before the command, or install it"
        error = error.__cause__ or error.__context__
    return ""


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


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "make the folder writable, or name another"),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "look at the disk"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "look at the folder's name and at what is there"),
}


def disk_error(error: OSError, folder: object = "disk") -> RunError | None:
    """Return the error for a fault of the disk (full, read-only, ...); None for any other error.

    folder: the folder written to, used if the error has no file name.
    """
    if error.errno not in _REMEDIES:
        return None
    return RunError(f"{error.filename or folder}: {error.strerror}; {_REMEDIES[error.errno]}")
