"""Export a trained agent: the script of twosome.cli.export in a checkout. An installed suite has the command twosome-export."""

from twosome.cli.export import main

if __name__ == "__main__":
    main()
