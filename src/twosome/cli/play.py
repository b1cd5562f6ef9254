"""Choose the actions yourself in the terminal: type an action's number, ? for the model's probabilities, q to end.

Examples:
  python src/play.py env.task=tomato_salad
  python src/play.py env=virtualhome env.task=food_preparation seed=3
  python src/play.py run=outputs/2026-01-31/12-00-00
"""

from typing import TYPE_CHECKING

from twosome import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run the command: read the command line, do the task, exit."""
    signals.install()  # before the imports that take seconds
    from twosome.cli.entry import entry

    entry("play", task, __doc__ or "")


def task(config: "DictConfig") -> None:
    """Do one job."""
    from twosome.runs.play import run

    run(config)
