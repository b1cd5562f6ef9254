"""The papers' claims with the published runs' verdicts, by analysis/claims.py."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published"
WINDOW = 2_048
"""Environment steps of the curves' window, as in docs/results.md."""


def page() -> str:
    """Return the ledger of every folder of published runs, as Markdown. Raises RuntimeError if a table cannot be made."""
    sys.path.insert(0, str(ROOT / "analysis"))
    import claims as command

    text = "# Claims\n\nWhat the papers claim, how `python analysis/claims.py` tests it, and what the published runs show.\n"
    for folder in sorted(path for path in PUBLISHED.iterdir() if (path / "runs.csv").exists()):
        with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
            if command.main([str(folder), "--window", str(WINDOW), "--out", out]):
                raise RuntimeError(f"{folder}: analysis/claims.py failed")
            table = (Path(out) / "claims.md").read_text().partition("\n")[2]
        name = folder.relative_to(ROOT)
        text += f"\n## `{name}`\n\n`python analysis/claims.py {name} --window {WINDOW}`\n{table}"
    return text
