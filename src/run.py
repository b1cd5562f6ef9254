"""Train an agent and evaluate it before and after."""

from twosome.cli import run

if __name__ == "__main__":
    run()
