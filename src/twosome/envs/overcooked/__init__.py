"""Overcooked: one agent, a small kitchen, macro-actions. The environment's specification is `env.OvercookedEnv`'s docstring."""
