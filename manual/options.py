"""The reference of options: the files of conf/ as they are, comments included."""

from pathlib import Path

from twosome.config import CONFIGS

INTRODUCTION = """\
# Options

Options are given as `<option>=<value>`, choices as `<group>=<choice>`. A file of a group has the options `<group>.*`, unless
its first line names another place. A value in `${...}` is taken from another option; `null` means none.
"""


def page() -> str:
    """Return the reference as Markdown: first the files that the commands compose, then the groups."""
    commands = sorted(CONFIGS.glob("*.yaml"), key=lambda path: (path.stem != "config", path.stem))
    parts = [INTRODUCTION, *(_file(path, f"`python src/{path.stem.replace('config', 'run')}.py`", 2) for path in commands)]
    for group in groups():
        parts.append(f"## `{group}`\n")
        parts += [_file(path, f"`{group}={path.stem}`", 3) for path in sorted((CONFIGS / group).glob("*.yaml"))]
    return "\n".join(parts)


def groups() -> list[str]:
    """Return the names of the groups, of which a choice can be made; experiments are options for others, not options."""
    folders = {str(path.parent.relative_to(CONFIGS)) for path in CONFIGS.glob("**/*.yaml")}
    return sorted(folder for folder in folders if folder != "." and not folder.startswith("experiment"))


def _file(path: Path, title: str, level: int) -> str:
    return f"{'#' * level} {title}\n\n```yaml\n{path.read_text()}```\n"
