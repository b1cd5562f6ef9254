"""Show what a language model makes of one decision: each action's tokens, log-probability, score and probability.

Examples:
  python src/probe.py prompt="To eat, you should first" 'actions=[open the fridge,sleep]'
  python src/probe.py prompt="To eat, you should first" 'actions=["1, or 2",sleep]' norm=token
  python src/probe.py prompt="To eat, you should first" 'actions=[sleep]' model=tiny_random format=json
"""

if __name__ == "__main__":  # before the imports that take seconds
    from twosome import signals

    signals.install()

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig

from twosome.cli.entry import entry


def reword(word: str) -> str:
    """Quote a prompt for Hydra's grammar, in which its commas and colons would mean something."""
    name, _, text = word.partition("=")
    if name != "prompt" or not text or text[0] in "\"'":
        return word
    return f"prompt={QuotedString(text, Quote.single).with_quotes()}"


@entry("probe", reword)
def main(config: DictConfig) -> None:
    """Run one job of Hydra's."""
    from twosome.cli.probe import run

    run(config)


if __name__ == "__main__":
    main()
