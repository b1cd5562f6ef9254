"""Score a decision with a language model: the script of twosome.cli.probe in a checkout. An installed suite has twosome-probe."""

from twosome.cli.probe import main

if __name__ == "__main__":
    main()
