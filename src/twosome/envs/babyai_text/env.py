"""The gymnasium environment of BabyAI-Text."""

from collections import deque
from copy import deepcopy
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
from minigrid.utils.baby_ai_bot import BabyAIBot
from numpy.typing import NDArray

from twosome.envs.babyai_text.levels import Level
from twosome.envs.babyai_text.prompts import ENGLISH, PROMPTERS, Prompter, Situation, Wording
from twosome.envs.babyai_text.tasks import MIXED, TASKS, TESTS, assigned, tasks_of
from twosome.envs.babyai_text.view import HIGHEST, SIZE, affordances, describe, mission_tokens, observation_space
from twosome.envs.options import SPLITS, check_number, check_render_mode, check_whole, find_prompter, valid_action
from twosome.errors import check, check_choice

DONE = 6
"""minigrid's action that does nothing, as which the actions from 6 on are played."""


class BabyAITextEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """
    ## Mission

    An agent in a room of keys, balls and boxes of six colours does what its mission says: goes to an object, picks one up,
    puts one next to another, does two of these in order, or unlocks a door. The levels are those of GLAM (Carta et al. 2023)
    on Farama's minigrid: a seed gives the same level as there, and the next `reset()` its next one.

    | `task` | mission | loose objects | H |
    |---|---|---|---|
    | `go_to` | go to D | 9 | 64 |
    | `pick_up` | pick up D | 9 | 64 |
    | `put_next_to` | put D1 next to D2 | 10 | 128 |
    | `pick_up_go_to` | pick up D1, then go to D2; go to D2 after you pick up D1 | 10 | 128 |
    | `unlock` | open the COLOUR door; open the door | 8 and the key | 128 |
    | `mixed` (the default) | one of the five above | | |
    | `pick_up_pick_up` | pick up D1, then pick up D2; pick up D2 after you pick up D1 | 10 | 128 |
    | `go_to_local` | go to D, with nothing held out | 8 | 64 |
    | `go_to_french` | the same, in French | 8 | 64 |

    D is "the COLOUR TYPE", or "a COLOUR TYPE" if several objects of that kind exist at the start. In `unlock`, a locked door
    separates two rooms, and its key is on the agent's side. In `mixed`, an environment keeps the task of its index among those
    that play side by side (`env_index`): the tasks in turn, or one drawn by `mixture_seed`.

    ## Action space

    `Discrete(num_actions)`: 0 turn left, 1 turn right, 2 go forward, 3 pick up, 4 drop, 5 toggle, 6 sleep, 7 do nothing,
    8 think. All can always be chosen. An action without an effect, such as the last three, only takes time. Toggling opens and
    closes doors, unlocks a door with its key in hand, and destroys a box.

    ## Observation space

    `Box` of float32, 159 numbers. The first 147 are minigrid's encoding of the agent's view, the 7 x 7 cells before it; walls
    and shut doors block the sight. The cells come column by column from the left, in each from the farthest to the agent's
    row. The agent's own cell (column 3, row 6) has what it carries.

    | fields | meaning |
    |---|---|
    | first of 3 per cell | type: 0 unseen, 1 empty, 2 wall, 4 door, 5 key, 6 ball, 7 box |
    | second | colour: 0 red, 1 green, 2 blue, 3 purple, 4 yellow, 5 grey |
    | third | state of a door: 0 open, 1 closed, 2 locked |
    | 12 | the mission's words in English, as numbers from 1 on in the order of `view.VOCABULARY`; 0 after its end |

    ## Info

    At reset and at every step: `prompt`, GLAM's prompt without the space at its end: the actions, the mission, and the latest
    observations and actions of the episode; `action_ids` and `action_prompts`, all actions and their words; `affordances`,
    whether each would have an effect now (1 or 0); `descriptions`, the sentences that describe the view; `mission`, in English;
    `duration`, 1 (0 at reset); `primitive_steps` since the episode began; `success`, whether the mission was just completed; in
    the mixture `task`.

    ## Rewards

    `reward_scale` x (1 - 0.9 n / H) when the mission is completed by the n-th action, otherwise 0.

    ## Termination and truncation

    *Terminated* when the mission is completed, *truncated* after H = `room_size` ** 2 x rooms x walks actions (2 walks for two
    objects, else 1).

    ## Ids

    `twosome/BabyAIText-v0`.

    ## Options

    | option | default | meaning |
    |---|---|---|
    | `prompt` | `"default"` | the wording: a name in `prompts.PROMPTERS`, `package.module:function`, a function |
    | `split` | `"train"` | `"train"`: no mission names a yellow box, red key, green ball, red or grey door; `"test"`: all do |
    | `num_actions` | 6 | 3, 6 or 9 |
    | `num_objects` | None | loose objects; None: the task's |
    | `room_size` | 8 | side of a room with its walls, in cells |
    | `past_observations` | 3 | observations in the prompt, with the current one |
    | `past_actions` | None | actions in the prompt; None: one less than observations |
    | `mixture_seed` | None | of the draw of the mixture's tasks; None: task `env_index` mod 5 |
    | `reward_scale` | 1.0 | factor of the reward (20 in GLAM's experiments) |
    | `render_mode` | None | `"rgb_array"`: minigrid's picture; `"ansi"`: text |
    """

    tasks: ClassVar[tuple[str, ...]] = TASKS
    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own declaration
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
    }
    tests: ClassVar[dict[str, dict[str, Any]]] = TESTS
    image_shape: ClassVar[tuple[int, ...]] = (SIZE, SIZE, len(HIGHEST))
    env_index = 0
    """The index among the environments that play side by side, which selects the task of the mixture."""

    def __init__(
        self,
        task: str = "mixed",
        prompt: str | Prompter = "default",
        split: str = "train",
        num_actions: int = 6,
        num_objects: int | None = None,
        room_size: int = 8,
        past_observations: int = 3,
        past_actions: int | None = None,
        mixture_seed: int | None = None,
        reward_scale: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        self._tasks = tasks_of(task)
        check_choice("split", split, SPLITS)
        check(num_actions in (3, 6, 9), "num_actions", num_actions, "3, 6 or 9; the paper's is 6")
        check_whole("room_size", room_size, 5, 50, "; the paper's is 8")
        for name, each in self._tasks.items():
            each.check(name, split, num_actions, num_objects, room_size)
        check_whole("past_observations", past_observations, 1, note="; the paper's is 3")
        if past_actions is not None:
            check_whole("past_actions", past_actions, 0, past_observations - 1, ", or null; the paper's is 2")
        if mixture_seed is not None:
            check_whole("mixture_seed", mixture_seed, 0, note=", or null, which assigns the tasks in turn")
            check(task == MIXED, "mixture_seed", mixture_seed, f"null with task={task}; it draws the tasks of task={MIXED}")
        check_number("reward_scale", reward_scale, 1e-9, 1e15, "a number above 0; 20 in GLAM's experiments")
        check_render_mode(render_mode, self.metadata["render_modes"])
        self._language = next(iter(self._tasks.values())).language
        self._prompter = find_prompter(prompt, PROMPTERS)
        exchanged = isinstance(self._prompter, Wording) and self._prompter != Wording()
        check(not exchanged or self._language is ENGLISH, "prompt", prompt, f"default with task={task}, which is not in English")
        self._levels: dict[str, Level] = {}
        self._level_options = split, num_objects, room_size
        self._mixed, self._mixture_seed, self._reward_scale = task == MIXED, mixture_seed, float(reward_scale)
        self._observations: deque[tuple[str, ...]] = deque(maxlen=past_observations)
        self._actions: deque[int] = deque(maxlen=past_observations - 1 if past_actions is None else past_actions)
        self._action_ids = tuple(range(num_actions))
        self._over = True
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Discrete(num_actions)
        self.observation_space = cast(gymnasium.spaces.Space[NDArray[np.float32]], observation_space())

    @property
    def action_names(self) -> tuple[str, ...]:
        """The actions' English words, by id."""
        return ENGLISH.actions[: len(self._action_ids)]

    @property
    def mission(self) -> str:
        """The current mission, in English."""
        return self.level.mission

    def demonstration(self) -> list[int]:
        """Return the actions of BabyAI's bot for the level that has just begun. Raises UserError if it lacks actions."""
        count = len(self._action_ids)
        check(count >= DONE, "env.kwargs.num_actions", count, "6 or 9 for BabyAI's bot, which does more than moving")
        level, over = deepcopy(self.level), False  # the bot looks ahead
        bot, actions = BabyAIBot(level), list[int]()
        while not over:
            actions.append(int(bot.replan(actions[-1] if actions else None)))
            _, _, terminated, truncated, _ = level.step(actions[-1])
            over = terminated or truncated
        return actions

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in the next level that the generator draws."""
        super().reset(seed=seed)
        self.task = assigned(self._tasks, self.env_index, self._mixture_seed)
        if self.task not in self._levels:
            self._levels[self.task] = self._tasks[self.task].level(*self._level_options)
        self.level = self._levels[self.task]
        self.level.np_random = self.np_random
        seen, _ = self.level.reset()
        self._tokens, self._over = mission_tokens(self.mission), False
        self._observations.clear()
        self._actions.clear()
        return self._decision(seen["image"], duration=0, success=False)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do an action."""
        action = valid_action(action, self._over, len(self._action_ids))
        seen, reward, terminated, truncated, _ = self.level.step(min(action, DONE))
        self._over = terminated or truncated
        self._actions.append(action)
        obs, info = self._decision(seen["image"], duration=1, success=terminated)
        return obs, self._reward_scale * float(reward), terminated, truncated and not terminated, info

    def _decision(self, image: NDArray[np.uint8], duration: int, success: bool) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the observation and info of the current state. image: minigrid's encoding of the view, (7, 7, 3)."""
        view, carrying = list(map(tuple, image.reshape(-1, 3).tolist())), self.level.carrying
        descriptions = describe(view, carrying, self._language)
        self._observations.append(descriptions)
        situation = Situation(
            self._language, self.mission, len(self._action_ids), tuple(self._observations), tuple(self._actions)
        )
        prompt, action_prompts = self._prompter(situation)
        info = {
            "prompt": prompt,
            "action_ids": self._action_ids,
            "action_prompts": action_prompts,
            "affordances": affordances(view, carrying, len(self._action_ids)),
            "descriptions": list(descriptions),
            "mission": self.mission,
            "duration": duration,
            "primitive_steps": self.level.step_count,
            "success": success,
        }
        if self._mixed:
            info["task"] = self.task
        return np.concatenate((image.ravel(), self._tokens)), info

    def render(self) -> Any:
        """Return minigrid's picture (height, width, 3) or a text of the current state, by the render mode; None without one."""
        if self.render_mode is None:
            return None
        if self.render_mode == "rgb_array":
            return self.level.get_frame()
        carrying = self.level.carrying
        held = f"{carrying.color} {carrying.type}" if carrying else "-"
        return f"{self.level.mission}\n{self.level.pprint_grid()}\nhand: {held}"
