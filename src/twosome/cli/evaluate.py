"""Evaluate a trained agent on its own task or on others, or measure what its language model still knows.

Examples:
  python src/evaluate.py run=outputs/2026-01-31/12-00-00 env.task=lettuce_salad gif=true
  python src/evaluate.py run=outputs/2026-01-31/12-00-00 suite=unseen
  python src/evaluate.py run=outputs/2026-01-31/12-00-00 suite=retention retention.limit=300
"""

from typing import TYPE_CHECKING

from twosome import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run the command: read the command line, do the task, exit."""
    signals.install()  # before the imports that take seconds
    from twosome.cli.entry import entry

    entry("evaluate", task, __doc__ or "", reword)


def reword(word: str) -> str:
    """Allow ``env.<option>=...`` for options that are not in conf/evaluate.yaml, since they are the run's."""
    return f"++{word}" if word.startswith(("env.", "env=")) else word


def task(config: "DictConfig") -> float:
    """Do one job; return the suite's main figure."""
    from twosome.runs.evaluate import run

    return run(config)
