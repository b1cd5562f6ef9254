"""BabyAI-Text: one agent, a room of objects, missions in words. The specification is the docstring of `env.BabyAITextEnv`."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # minigrid imports pygame, which would print a line
