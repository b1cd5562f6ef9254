"""Compare the engine's speed with its opponents' and with the machine's limit, or measure the memory of runs.

Examples:
  python src/benchmark.py
  python src/benchmark.py tasks=[tomato_salad] synthetic=[] works=[update] rounds=5 output=engine.json
  python src/benchmark.py memory=true
"""

from typing import TYPE_CHECKING

from twosome import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main() -> None:
    """Run the command: read the command line, do the task, exit."""
    signals.install()  # before the imports that take seconds
    from twosome.cli.entry import entry

    entry("benchmark", task, __doc__ or "")


def task(config: "DictConfig") -> None:
    """Do one job: print the table and write the JSON file."""
    from twosome.benchmark.config import checked_benchmark

    options, makers = checked_benchmark(config)
    from twosome.benchmark.benchmark import benchmark  # takes seconds to import; the input is checked first

    benchmark(config, options, makers)
