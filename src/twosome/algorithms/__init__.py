"""How agents learn: an interface, and a module for each algorithm."""
