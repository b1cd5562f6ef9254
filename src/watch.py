"""Watch a trained agent: the script of twosome.cli.watch in a checkout. An installed suite has the command twosome-watch."""

from twosome.cli.watch import main

if __name__ == "__main__":
    main()
