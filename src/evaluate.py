"""Play a trained agent again: the command twosome.cli.evaluate of a checkout; an installed suite has twosome-evaluate."""

from twosome.cli.evaluate import main

if __name__ == "__main__":
    main()
