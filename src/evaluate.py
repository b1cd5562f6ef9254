"""Evaluate a trained agent on its own task or on others, or its language model."""

from twosome.cli import evaluate

if __name__ == "__main__":
    evaluate()
