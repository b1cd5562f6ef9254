"""Ask a language model about one decision: ``python src/probe.py prompt="First, you" 'actions=[chop, serve]'``."""

from omegaconf import DictConfig

from twosome.cli import entry


def reword(word: str) -> str:
    """Quote a prompt for Hydra's grammar, in which its commas and colons would mean something."""
    name, _, text = word.partition("=")
    if name != "prompt" or not text or text[0] in "\"'":
        return word
    escaped = text.replace("\\", "\\\\").replace("'", "\\'") if "'" in text or text.endswith("\\") else text
    return f"prompt='{escaped}'"


@entry("probe", reword)
def main(config: DictConfig) -> None:
    """Run one job of Hydra's."""
    from twosome.language.probe import run

    run(config)


if __name__ == "__main__":
    main()
