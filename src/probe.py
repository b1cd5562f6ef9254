"""Ask a language model about one decision: the command twosome.cli.probe of a checkout; an installed suite has twosome-probe."""

from twosome.cli.probe import main

if __name__ == "__main__":
    main()
