"""Play a trained agent again: ``python src/evaluate.py run=<folder> episodes=100 env.task=lettuce_salad gif=true``."""

from omegaconf import DictConfig

from twosome.cli import entry


def reword(word: str) -> str:
    """Let ``env.<option>=...`` name options that conf/evaluate.yaml cannot know: they are the run's."""
    return f"++{word}" if word.startswith(("env.", "env=")) else word


@entry("evaluate", reword)
def main(config: DictConfig) -> float:
    """Run one job of Hydra's; returns the sampled policy's mean discounted return."""
    from twosome.evaluation.evaluate import run

    return run(config)


if __name__ == "__main__":
    main()
