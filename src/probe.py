"""Ask a language model about one decision: ``python src/probe.py prompt="First, you" 'actions=[chop, serve]'``."""

if __name__ == "__main__":  # before the imports that take seconds
    from twosome import signals

    signals.install()

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig

from twosome.cli import entry


def reword(word: str) -> str:
    """Quote a prompt for Hydra's grammar, in which its commas and colons would mean something."""
    name, _, text = word.partition("=")
    if name != "prompt" or not text or text[0] in "\"'":
        return word
    return f"prompt={QuotedString(text, Quote.single).with_quotes()}"


@entry("probe", reword)
def main(config: DictConfig) -> None:
    """Run one job of Hydra's."""
    from twosome.language.probe import run

    run(config)


if __name__ == "__main__":
    main()
