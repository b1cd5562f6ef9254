"""Export what a run learned: an adapter or a model, with a card."""

from twosome.cli import export

if __name__ == "__main__":
    export()
