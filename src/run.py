"""Train an agent and evaluate it: ``python src/run.py env=overcooked norm=word seed=0``; -m sweeps; resume=<folder> goes on."""

if __name__ == "__main__":  # before the imports that take seconds
    from twosome import signals

    signals.install()

from omegaconf import DictConfig

from twosome.cli import entry


@entry("config")
def main(config: DictConfig) -> float:
    """Run one job of Hydra's; returns the trained agent's mean discounted return, for sweepers that optimise it."""
    from twosome.training.run import run

    return run(config)


if __name__ == "__main__":
    main()
