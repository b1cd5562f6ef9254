"""Time the engine: the command twosome.cli.benchmark of a checkout; an installed suite has twosome-benchmark."""

from twosome.cli.benchmark import main

if __name__ == "__main__":
    main()
