"""Write episodes of a trained agent as a page of HTML."""

from twosome.cli import watch

if __name__ == "__main__":
    watch()
