"""Train an agent in an environment, evaluate it before and after training, and write all results to a run's folder.

Examples:
  python src/run.py env=overcooked norm=word seed=0
  python src/run.py -m env=virtualhome norm=word,token seed=0,1,2
  python src/run.py resume=outputs/2026-01-31/12-00-00
"""

from typing import TYPE_CHECKING

from twosome import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run the command: read the command line, do the task, exit."""
    signals.install()  # before the imports that take seconds
    from twosome.cli.entry import entry

    entry("config", task, __doc__ or "")


def task(config: "DictConfig") -> float:
    """Do one job; return the trained agent's mean discounted return, which sweepers can optimise."""
    from twosome.runs.run import run

    return run(config)
