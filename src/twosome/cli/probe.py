"""Score one decision with a language model, and show each action's tokens, log-probability, score and probability.

Examples:
  python src/probe.py prompt="To eat, you should first" 'actions=[open the fridge,sleep]'
  python src/probe.py prompt="To eat, you should first" 'actions=["1, or 2",sleep]' norm=token
  python src/probe.py prompt="To eat, you should first" 'actions=[sleep]' model=tiny_random format=json
"""

from typing import TYPE_CHECKING

from twosome import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run the command: read the command line, do the task, exit."""
    signals.install()  # before the imports that take seconds
    from twosome.cli.entry import entry

    entry("probe", task, __doc__ or "", reword)


def reword(word: str) -> str:
    """Quote a prompt for Hydra's grammar, in which commas and colons have a meaning."""
    from twosome.cli.grammar import quoted

    name, _, text = word.partition("=")
    return f"prompt={quoted(text)}" if name == "prompt" and text and text[0] not in "\"'" else word


def task(config: "DictConfig") -> None:
    """Do one job."""
    from twosome.runs.probe import run

    run(config)
