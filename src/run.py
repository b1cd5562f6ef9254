"""Train an agent: the script of twosome.cli.run in a checkout. An installed suite has the command twosome-run."""

from twosome.cli.run import main

if __name__ == "__main__":
    main()
