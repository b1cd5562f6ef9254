"""How this process's commands are called: as scripts of a checkout, or as the commands of an installed suite."""

import re
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1]
"""In a checkout the folder of the scripts, src/."""
PREFIX = "twosome-"
"""The prefix of the commands of an installed suite."""


def installed() -> bool:
    """Return whether an installed command was called, or there is no checkout with scripts."""
    return Path(sys.argv[0]).name.startswith(PREFIX) or not (SOURCES.name == "src" and (SOURCES / "run.py").is_file())


def adapt_commands(text: str) -> str:
    """Replace commands such as ``python src/run.py`` in a text by ``twosome-run`` if the suite is installed."""
    return re.sub(r"python src/(\w+)\.py", rf"{PREFIX}\1", text) if installed() else text
