"""Overcooked: one agent, a small kitchen, macro-actions. The specification is the docstring of `env.OvercookedEnv`."""
