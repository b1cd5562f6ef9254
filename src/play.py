"""Choose the actions: the script of twosome.cli.play in a checkout. An installed suite has the command twosome-play."""

from twosome.cli.play import main

if __name__ == "__main__":
    main()
