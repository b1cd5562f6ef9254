"""Links of the pages, which are written for the repository: in the site, some of them lead elsewhere or nowhere."""

import posixpath
import re

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")
MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that are pages of the site, and their names in it."""


def rewritten(text: str, source: str, page: str) -> str:
    """Return a page's text with links that are right in the site. Code is left as it is.

    source: the file's path in the repository. page: its path in the site. A link to another file of the repository becomes its
    name and path; a picture from elsewhere is left out, since pages load nothing from the network.
    """
    pieces = re.split(r"(^```.*?^```$|`[^`\n]+`(?![^\[]*\]\())", text, flags=re.MULTILINE | re.DOTALL)
    pieces[::2] = [LINK.sub(lambda match: _link(match, source, page), piece) for piece in pieces[::2]]
    return "".join(pieces)


def _link(match: re.Match[str], source: str, page: str) -> str:
    picture, text, address = match.groups()
    if re.match(r"https?:", address):
        return "" if picture else match[0]
    if address.startswith("#"):
        return match[0]
    path, hash_mark, anchor = address.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if target in MOVED:
        place = MOVED[target]
    elif target.startswith("docs/"):
        place = target.removeprefix("docs/")
    else:
        return text if f"`{target}`" in text or target in text else f"{text} (`{target}`)"
    return f"{picture}[{text}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{hash_mark}{anchor})"
