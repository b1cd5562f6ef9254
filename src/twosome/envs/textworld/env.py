"""The gymnasium environment of TextWorld."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
import textworld
from numpy.typing import NDArray

from twosome.envs.drawing import page
from twosome.envs.options import SPLITS, check_render_mode, check_whole, find_prompter, valid_action
from twosome.envs.textworld.games import DEFAULTS, FREE_VERBS, Game, find_games, settings_of, written
from twosome.envs.textworld.prompts import PROMPTERS, Prompter, Situation, first_answer, one_line
from twosome.errors import check_choice
from twosome.files import cache_root
from twosome.lru_cache import LRUCache

VIEWS = 2**14
"""The number of states that are remembered, some kilobytes each."""


class TextWorldEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """
    ## Mission

    An agent in a house reads what the game says and gives it commands, such as "open fridge" or "go east". The games are those
    of TextWorld's challenges (Côté et al. 2018), and TextWorld's own interpreter plays them.

    | `task` | mission |
    |---|---|
    | `simple` | leave the locked bedroom, find a food and put it on the stove |
    | `coin_collector` | find the room with the coin and take it (Yuan et al. 2018) |
    | `treasure_hunter` | find a thing and take it, but not the wrong one (Parisotto and Salakhutdinov 2017) |
    | `cooking` | fetch, cook and cut the ingredients of a recipe, prepare the meal and eat it |

    Each challenge has settings, which TextWorld defines:

    | setting | default | meaning |
    |---|---|---|
    | simple's `rewards` | balanced | how many parts of the quest score: dense, balanced, sparse |
    | coin_collector's `level` | 105 | 1 to 300: n mod 100 rooms in a chain, from 101 on a dead end at each, from 201 on two |
    | treasure_hunter's `level` | 5 | 1 to 30: 5 rooms, from 11 on 10 with doors and containers, from 21 on 20 with locks |
    | cooking's `recipe`, `take` | 1, 1 | number of ingredients, and of those that must be fetched |
    | `go` | 1 | rooms: 1, 6, 9 or 12 |
    | `open`, `cook`, `cut` | true, true, false | whether things are closed, and what the recipe asks for |
    | `drop` | false | whether the hands hold no more than the recipe needs |

    ## Games

    A game is drawn at every `reset()` from `num_games` games of the `split`. They are the first different ones that the seeds 0,
    1, 2, ... give, and are generated once, on all cores, a second or two each, into `$TWOSOME_CACHE`. The split of a game is
    decided by a checksum of its content (things, places, routes, goal, with their names), so no game is in both splits. The
    *panel* is the games of both splits.

    ## Action space

    `Discrete`, the panel's commands in alphabetical order (`action_names`): those that play can reach, or more, found from the
    game's rules without playing. `info` offers the *admissible* ones, which the state allows: without look, inventory and
    examine, which change nothing. Any command can be given at any time; the game answers that it does not understand.

    ## Observation space

    `Box` of float32, 0 or 1 per field: whether a fact holds, for all facts of the panel that play can reach (or more), in
    alphabetical order (`observation_names`), as in "on(apple, table)" or "north_of(kitchen, hall)". It is the whole state of the
    game, also out of sight, except which of the quest's parts have been scored. The prompt is only what the agent sees.

    ## Info

    At reset and at every step: `prompt`: the room's description, the inventory, the last commands with their answers, the goal;
    `action_ids` and `action_prompts`, the admissible commands and their words; `affordances`, the probability that each would
    have its effect: 1, since it is admissible; `duration`, 1 (0 at reset); `primitive_steps` since the episode began; `success`,
    whether the game was just won. The goal of the cooking game names the recipe, so that no cookbook has to be read.

    ## Rewards

    The growth of TextWorld's score, divided by the highest score: a game that is won gives 1 in all.

    ## Termination and truncation

    *Terminated* when the game is won, or lost (a wrong thing was taken, an ingredient burned). *Truncated* after
    `max_primitive_steps` commands.

    ## Ids

    `twosome/TextWorld-v0`. A game is deterministic; the generator only draws the games.

    ## Options

    | option | default | meaning |
    |---|---|---|
    | `settings` | None | changes of the table's settings, by task: `{"coin_collector": {"level": 5}}` |
    | `prompt` | `"default"` | the wording: a name in `prompts.PROMPTERS`, `package.module:function`, a function |
    | `split` | `"train"` | `"train"` or `"test"`: the games that are played |
    | `num_games` | 20 | games of each split |
    | `history` | 3 | commands in the prompt |
    | `all_commands` | False | also offer look, inventory and examine |
    | `max_primitive_steps` | 50 | when the episode is truncated |
    | `render_mode` | None | `"rgb_array"`: a picture of the text; `"ansi"`: text |
    """

    tasks: ClassVar[tuple[str, ...]] = tuple(DEFAULTS)
    tests: ClassVar[dict[str, dict[str, Any]]] = {"unseen_games": {"kwargs.split": "test"}}
    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own declaration
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 1,
    }

    def __init__(
        self,
        task: str = "coin_collector",
        prompt: str | Prompter = "default",
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        split: str = "train",
        num_games: int = 20,
        history: int = 3,
        all_commands: bool = False,
        max_primitive_steps: int = 50,
        render_mode: str | None = None,
    ) -> None:
        check_choice("split", split, SPLITS)
        check_whole("num_games", num_games, 1)
        check_whole("history", history, 0)
        check_whole("max_primitive_steps", max_primitive_steps, 1)
        check_render_mode(render_mode, self.metadata["render_modes"])
        self._prompter = find_prompter(prompt, PROMPTERS)
        chosen = tuple(settings_of(task, settings or {}).items())
        self._panel = shared_panel(cache_root(), task, chosen, num_games, all_commands)
        self._games = self._panel.games[split]
        self._history, self._max_primitive_steps = history, max_primitive_steps
        self._emulator: textworld.Environment | None = None
        self._loaded: Game | None = None  # the game in the emulator
        self._played: list[str] | None = None  # the commands that the emulator has executed since its game's start
        self._over = True
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Discrete(len(self._panel.commands))
        self.observation_space = gymnasium.spaces.Box(0, 1, (len(self._panel.facts),), dtype=np.float32)

    @property
    def action_names(self) -> tuple[str, ...]:
        """The panel's commands, by id."""
        return self._panel.commands

    @property
    def observation_names(self) -> tuple[str, ...]:
        """The facts of the observation's fields."""
        return self._panel.facts

    @property
    def mission(self) -> str:
        """The goal of the current game."""
        return self.game.goal

    def demonstration(self) -> list[int]:
        """Return TextWorld's walkthrough of the game that has just begun, up to the limit of steps."""
        return [self._panel.ids[command] for command in self.game.walkthrough[: self._max_primitive_steps]]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in a game that the generator draws."""
        super().reset(seed=seed)
        self.game = self._games[int(self.np_random.integers(len(self._games)))]
        self._given: list[str] = []
        self._answers: list[str] = []
        self._view, self._over = self._current_view(), False
        return self._decision(duration=0)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Give a command."""
        self._given.append(self._panel.commands[valid_action(action, self._over, len(self._panel.commands))])
        before, self._view = self._view, self._current_view()
        self._answers.append(self._view.answer)
        terminated = self._view.won or self._view.lost
        truncated = not terminated and len(self._given) >= self._max_primitive_steps
        self._over = terminated or truncated
        obs, info = self._decision(duration=1)
        return obs, (self._view.score - before.score) / self.game.max_score, terminated, truncated, info

    def _current_view(self) -> "View":
        """Return what the commands since the game's start led to; an episode's known beginning is not played again."""
        key = self.game.path, tuple(self._given)
        return self._panel.views.of([key], lambda _: [self._panel.view(self._play())])[key]

    def _play(self) -> textworld.GameState:
        """Bring the emulator to the current state, and return it."""
        if self._emulator is None or self._loaded is not self.game:
            self.close()
            self._emulator, self._loaded, self._played = textworld.start(self.game.path, REQUEST), self.game, None
        if self._played is None or self._played != self._given[: len(self._played)]:
            self._emulator.reset()
            self._played = []
        for command in self._given[len(self._played) :]:
            self._emulator.step(command)
            self._played.append(command)
        return self._emulator.state

    def _decision(self, duration: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the observation and info of the current state."""
        view = self._view
        history = list(zip(self._given, self._answers, strict=True))[max(0, len(self._given) - self._history) :]
        commands = [self._panel.commands[action] for action in view.action_ids]
        prompt, action_prompts = self._prompter(Situation(view.description, view.inventory, history, self.game.goal, commands))
        obs = np.zeros(len(self._panel.facts), dtype=np.float32)
        obs[list(view.fields)] = 1
        info = {
            "prompt": prompt,
            "action_ids": view.action_ids,
            "action_prompts": tuple(action_prompts),
            "affordances": (1.0,) * len(view.action_ids),
            "duration": duration,
            "primitive_steps": len(self._given),
            "success": view.won,
        }
        return obs, info

    def render(self) -> Any:
        """Return a picture (height, width, 3) or a text of the current state, by the render mode; None without one."""
        if self.render_mode is None:
            return None
        last = [f"> {self._given[-1]}", self._answers[-1]] if self._given else []
        text = "\n\n".join((*last, self._view.description, self._view.inventory))
        return page(text) if self.render_mode == "rgb_array" else text

    def close(self) -> None:
        """End the emulator."""
        if self._emulator is not None:
            self._emulator.close()
            self._emulator = None


REQUEST = textworld.EnvInfos(
    feedback=True, description=True, inventory=True, facts=True, score=True, won=True, lost=True, admissible_commands=True
)


class View(NamedTuple):
    """What a state of a game shows. answer: to the last command. fields: those of the observation that are 1."""

    description: str
    inventory: str
    answer: str
    score: int
    won: bool
    lost: bool
    action_ids: tuple[int, ...]
    fields: tuple[int, ...]


class Panel:
    """The games of a task with their commands and facts, and the views of states that were played."""

    def __init__(self, root: Path, task: str, settings: tuple[tuple[str, Any], ...], num_games: int, all_commands: bool) -> None:
        self.games: Mapping[str, Sequence[Game]] = find_games(root, task, dict(settings), num_games)
        every = [game for games in self.games.values() for game in games]
        commands = {command for game in every for command in game.commands}
        self.commands = tuple(sorted(each for each in commands if all_commands or each.split()[0] not in FREE_VERBS))
        self.facts = tuple(sorted({fact for game in every for fact in game.facts}))
        self.ids = {command: action for action, command in enumerate(self.commands)}
        self._fields = {fact: field for field, fact in enumerate(self.facts)}
        self.views: LRUCache[tuple[str, tuple[str, ...]], View] = LRUCache(VIEWS)

    def view(self, state: textworld.GameState) -> View:
        """Return the view of TextWorld's state."""
        return View(
            one_line(state.description),
            one_line(state.inventory),
            first_answer(state.feedback),
            state.score,
            state.won,
            state.lost,
            tuple(self.ids[command] for command in state.admissible_commands if command in self.ids),
            tuple(self._fields[fact] for fact in written(state.facts)),
        )


shared_panel = lru_cache(maxsize=8)(Panel)
"""Return the panel that all environments with these options share."""
