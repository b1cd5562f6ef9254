"""How agents learn: an interface, and a package or module for each algorithm."""
