"""Time the engine against the plain way of scoring: ``python src/benchmark.py [tasks=[tomato_salad]] [output=file.json]``."""

from omegaconf import DictConfig

from twosome.cli import entry


@entry("benchmark")
def main(config: DictConfig) -> None:
    """Print the table and write the JSON."""
    from twosome.training.config import checked_benchmark

    options, makers = checked_benchmark(config)
    from twosome.training.benchmark import benchmark  # takes seconds to import; bad input is told before

    benchmark(config, options, makers)


if __name__ == "__main__":
    main()
