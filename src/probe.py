"""Score one decision by a language model: tokens, log-probabilities, scores, probabilities."""

from twosome.cli import probe

if __name__ == "__main__":
    probe()
