"""Write a page of HTML that steps through episodes of a trained agent, with its probabilities before and after training.

Examples:
  python src/watch.py run=outputs/2026-01-31/12-00-00
  python src/watch.py run=outputs/2026-01-31/12-00-00 env.task=lettuce_salad to=lettuce.html
  python src/watch.py run=outputs/2026-01-31/12-00-00 actor=untrained policy=greedy episodes=1
"""

from typing import TYPE_CHECKING

from twosome import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run the command: read the command line, do the task, exit."""
    signals.install()  # before the imports that take seconds
    from twosome.cli.entry import entry

    entry("watch", task, __doc__ or "", reword)


def reword(word: str) -> str:
    """Allow ``env.<option>=...``, as evaluate does."""
    from twosome.cli.evaluate import reword

    return reword(word)


def task(config: "DictConfig") -> None:
    """Do one job."""
    from twosome.runs.watch import run

    run(config)
