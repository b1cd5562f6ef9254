"""Write a recording as one page of HTML, which needs no other file and no network."""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twosome.files import write_atomic

PARTS = {name: Path(__file__).with_name(f"page.{kind}") for name, kind in {"style": "css", "script": "js"}.items()}
TEMPLATE = Path(__file__).with_name("page.html")
"""The page, with {{style}}, {{script}}, {{title}} and {{data}} where these belong."""
BEGINNING = "<!doctype html>\n<!-- Written by twosome's src/watch.py"
"""By which a page is recognised that may be replaced."""


def is_page(path: Path) -> bool:
    """Return whether a file is a page that `write` wrote."""
    with path.open("rb") as file:
        return file.read(len(BEGINNING)) == BEGINNING.encode()


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write the page, atomically. data: of `recorder.data`, with "title", and "facts", a list of [name, value] about the run."""
    # In a script element nothing ends the text but "</script", so "<" must not stand there as itself.
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    filled = {name: path.read_text(encoding="utf-8") for name, path in PARTS.items()}
    filled |= {"title": html.escape(str(data["title"])), "data": content}
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], TEMPLATE.read_text(encoding="utf-8"))
    write_atomic(path, page, parents=True)
