"""What several tests of BabyAI-Text need."""

import gzip
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from minigrid.minigrid_env import MiniGridEnv

import twosome.envs  # noqa: F401 - registers the environments
from twosome.envs.babyai_text.env import BabyAITextEnv
from twosome.envs.babyai_text.tasks import SINGLE

DATA = Path(__file__).parents[1] / "data"
FILES = sorted(path.name.partition(".")[0].removeprefix("babyai_text_") for path in DATA.glob("babyai_text_*"))
TASKS = tuple(SINGLE)


def make(**options: Any) -> BabyAITextEnv:
    """The registered environment."""
    env = gymnasium.make("twosome/BabyAIText-v0", **options)
    assert isinstance(env.unwrapped, BabyAITextEnv)
    return env.unwrapped


def records(name: str) -> list[dict[str, Any]]:
    """The episodes recorded from the reference."""
    with gzip.open(DATA / f"babyai_text_{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def things(level: MiniGridEnv) -> list[tuple[Any, int, int]]:
    """The objects and doors on a level's grid with their places, row by row."""
    cells = [(level.grid.get(x, y), x, y) for y in range(level.height) for x in range(level.width)]
    return [each for each in cells if each[0] is not None and each[0].type != "wall"]


def world(level: MiniGridEnv) -> tuple[Any, ...]:
    """All that actions can change."""
    carrying = level.carrying
    return (*map(int, level.agent_pos), level.agent_dir, id(carrying) if carrying else None, level.grid.encode().tobytes())


def encoding(level: MiniGridEnv) -> np.ndarray:
    """minigrid's own encoding of the agent's view, (7, 7, 3)."""
    return MiniGridEnv.gen_obs(level)["image"]
