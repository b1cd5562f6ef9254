"""Train an agent: the command twosome.cli.run of a checkout; an installed suite has twosome-run."""

from twosome.cli.run import main

if __name__ == "__main__":
    main()
