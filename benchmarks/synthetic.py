"""An environment without a task, whose decisions never recur: each step draws a new prompt.

`nothing_recurs`: prompts of about 250 tokens, which describe random objects, and the six actions of BabyAI.
`many_actions`: prompts of about 60 tokens, and 50 actions of five tokens, drawn anew in each step.
The counts are those of SmolLM2's tokenizer.
"""

import math
from typing import Any

import gymnasium
import numpy as np

ID = "synthetic:benchmark/Synthetic-v0"
"""Of the environment, for `env.id`; this file's folder has to be in PYTHONPATH."""
TASKS = ("nothing_recurs", "many_actions")
STEPS = 32
"""Decisions per episode."""
MOVES = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle")
VERBS = ("take", "move", "open", "clean", "find", "bring", "hold", "push",
         "drop", "turn", "use", "cut", "fill", "shake", "wash", "lift")  # fmt: skip
COLOURS = ("red", "green", "blue", "yellow", "grey", "purple", "white", "brown")
OBJECTS = ("ball", "box", "key", "door", "plate", "book", "cup", "lamp")
PLACES = ("here", "inside", "outside", "upstairs", "forward", "back", "away", "again")
PARTS = (VERBS, COLOURS, OBJECTS, PLACES)
SHAPE = tuple(map(len, PARTS))


class Synthetic(gymnasium.Env):
    """Random prompts and no task: every reward is 0, and an episode is truncated after STEPS decisions.

    The observation is the number of decisions so far.
    """

    observation_space = gymnasium.spaces.Box(0, STEPS, (1,), dtype=np.float32)
    tasks = TASKS

    def __init__(self, task: str = "nothing_recurs", render_mode: str | None = None) -> None:
        self.task, self.render_mode, self.steps = task, render_mode, 0
        self.action_space = gymnasium.spaces.Discrete(len(MOVES) if task == "nothing_recurs" else math.prod(SHAPE))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self.steps = 0
        return self._obs(), self._info(duration=0)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Draw the next decision; the action has no effect."""
        self.steps += 1
        return self._obs(), 0.0, False, self.steps == STEPS, self._info(duration=1)

    def _obs(self) -> np.ndarray:
        return np.array([self.steps], dtype=np.float32)

    def _info(self, duration: int) -> dict[str, Any]:
        if self.task == "nothing_recurs":
            ids, words = list(range(len(MOVES))), list(MOVES)
        else:
            ids = sorted(self.np_random.choice(math.prod(SHAPE), 50, replace=False).tolist())
            words = list(map(_phrase, ids))
        prompt = self._situation(20 if self.task == "nothing_recurs" else 4)
        return {"prompt": prompt, "action_ids": tuple(ids), "action_prompts": tuple(words), "duration": duration,
                "primitive_steps": self.steps, "success": False}  # fmt: skip

    def _situation(self, objects: int) -> str:
        """Describe a random goal and this number of random objects."""
        seen = [
            f"You see a {self._any(COLOURS)} {self._any(OBJECTS)} {self.np_random.integers(1, 10)} steps to the "
            f"{self._any(('left', 'right'))}."
            for _ in range(objects)
        ]
        return f"Your goal is the {self._any(COLOURS)} {self._any(OBJECTS)}. {' '.join(seen)} Now you should"

    def _any(self, words: tuple[str, ...]) -> str:
        return words[int(self.np_random.integers(len(words)))]


def _phrase(number: int) -> str:
    """Return the words of an action of many_actions."""
    verb, colour, thing, place = (words[index] for words, index in zip(PARTS, np.unravel_index(number, SHAPE), strict=True))
    return f"{verb} the {colour} {thing} {place}"


gymnasium.register(ID.partition(":")[2], f"{__name__}:Synthetic")
