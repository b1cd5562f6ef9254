"""Export what a finished run has learned: a PEFT adapter or a merged model with a model card, as a folder or to a hub.

Examples:
  python src/export.py run=outputs/2026-01-31/12-00-00 to=my_adapter
  python src/export.py run=outputs/2026-01-31/12-00-00 to=my_model merged=true
  python src/export.py run=outputs/2026-01-31/12-00-00 to=my_adapter push=me/tomato-salad
"""

from typing import TYPE_CHECKING

from twosome import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run the command: read the command line, do the task, exit."""
    signals.install()  # before the imports that take seconds
    from twosome.cli.entry import entry

    entry("export", task, __doc__ or "")


def task(config: "DictConfig") -> None:
    """Do one job."""
    from twosome.runs.export import run

    run(config)
