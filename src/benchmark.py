"""Time the engine: the script of twosome.cli.benchmark in a checkout. An installed suite has the command twosome-benchmark."""

from twosome.cli.benchmark import main

if __name__ == "__main__":
    main()
