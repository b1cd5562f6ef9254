"""How this process's commands are called: as scripts of a checkout, or as the commands of an installed suite."""

import re
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1]
"""In a checkout the folder of the scripts, src/."""
PREFIX = "twosome-"
"""What the names of the commands of an installed suite begin with."""


def installed() -> bool:
    """Return whether an installed command was called, or there is no checkout of whose scripts one could be."""
    return Path(sys.argv[0]).name.startswith(PREFIX) or not (SOURCES.name == "src" and (SOURCES / "run.py").is_file())


def as_called(text: str) -> str:
    """Return a text with commands, ``python src/run.py`` and the like, as the user can type them: twosome-run if installed."""
    return re.sub(r"python src/(\w+)\.py", rf"{PREFIX}\1", text) if installed() else text
