"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml): generated pages and links."""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from mkdocs.structure.files import File, Files  # noqa: E402

from manual import api, claims, environments, options  # noqa: E402
from manual.links import MOVED, rewritten  # noqa: E402

GENERATED = {
    "reference/options.md": options.page,
    "reference/environments.md": environments.page,
    "reference/api.md": api.page,
    "claims.md": claims.page,
}


SHIM = re.compile(r'<script src="https://unpkg\.com/[^"]*"></script>')
"""The one script that the theme loads from the network: for the search in pages that are opened from the disk."""


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and the pages that are files of the repository's root."""
    for path, page in GENERATED.items():
        files.append(File.generated(config, path, content=page()))
    for source, path in MOVED.items():
        files.append(File.generated(config, path, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Adapt the links of the pages that stand in the repository."""
    path = page.file.src_uri
    if path in GENERATED:
        return markdown
    source = next((source for source, moved in MOVED.items() if moved == path), f"docs/{path}")
    return rewritten(markdown, source, path)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Load the site's own script in place of the one from the network."""
    return _without_shim(output, "../" * page.file.dest_uri.count("/"))


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """Do the same on 404.html, which is no page of the manual."""
    return _without_shim(output_content, "")


def _without_shim(html: str, root: str) -> str:
    return SHIM.sub(f'<script src="{root}offline.js"></script>', html)
