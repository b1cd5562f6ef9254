"""Play a trained agent again, on its own task or on others, or ask what its language model still knows.

Examples:
  python src/evaluate.py run=outputs/2026-01-31/12-00-00 env.task=lettuce_salad gif=true
  python src/evaluate.py run=outputs/2026-01-31/12-00-00 suite=unseen
  python src/evaluate.py run=outputs/2026-01-31/12-00-00 suite=retention retention.limit=300
"""

if __name__ == "__main__":  # before the imports that take seconds
    from twosome import signals

    signals.install()

from omegaconf import DictConfig

from twosome.cli.entry import entry


def reword(word: str) -> str:
    """Let ``env.<option>=...`` name options that conf/evaluate.yaml cannot know: they are the run's."""
    return f"++{word}" if word.startswith(("env.", "env=")) else word


@entry("evaluate", reword)
def main(config: DictConfig) -> float:
    """Run one job of Hydra's; returns the sampled policy's mean discounted return."""
    from twosome.runs.evaluate import run

    return run(config)


if __name__ == "__main__":
    main()
