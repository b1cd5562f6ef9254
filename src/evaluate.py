"""Evaluate a finished run: the script of twosome.cli.evaluate in a checkout. An installed suite has twosome-evaluate."""

from twosome.cli.evaluate import main

if __name__ == "__main__":
    main()
