"""Sokoban: a player pushes boxes onto targets. The specification is the docstring of `env.SokobanEnv`."""
