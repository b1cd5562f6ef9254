"""The gymnasium environment of Sokoban."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from twosome.envs.optimum import Transition
from twosome.envs.options import SPLITS, check_number, check_render_mode, check_whole, find_prompter, valid_action
from twosome.envs.sokoban.prompts import PROMPTERS, Prompter
from twosome.envs.sokoban.render import draw, write
from twosome.envs.sokoban.room import DIRECTIONS, State, after, draw_room, effective, shortest_solution
from twosome.errors import check_choice

TASKS = {"one_box": 1, "two_boxes": 2, "three_boxes": 3}
"""The number of boxes, and of targets, by task."""


class SokobanEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """
    ## Mission

    A player in a room of walls pushes boxes until each is on a target. It can push one box at a time and never pull, so that
    a push can make the room unsolvable: a box in a corner stays there.

    ## Room

    A square of `size` x `size` cells whose outer cells are walls. The task is the number of boxes and of targets: `one_box`,
    `two_boxes` or `three_boxes`. `reset` draws a room as follows:

    1. Each cell inside the outer wall is a wall with probability 0.2, independently of the others.
    2. The player, the boxes and the targets get different cells of the floor; all such placements are equally likely.
    3. The room is kept if it belongs to `split` and its shortest solution has `min_steps` to `max_primitive_steps` steps,
       otherwise all is drawn again. Breadth-first search over the states (player, boxes) finds the solution.

    So every room can be solved within the time limit, and rooms have the probabilities of steps 1 and 2, given step 3. Floor
    that is out of reach can occur. With one box, a room of 6 x 6 takes about 0.4 ms and has a shortest solution of 5.6 steps on
    average; two boxes take 5 ms, three 30 ms, and larger rooms longer.

    A room belongs to a split by a checksum of its size, walls and targets: `test` has one fifth of all layouts, `train` the
    others. So no state of a test room ever occurs in training. A mirrored or turned room is another room.

    With `num_rooms=n`, only n rooms of the split are played, each as often as the others: room i is the one that a generator
    with seed i draws.

    ## Action space

    `Discrete(4)`: 0 up, 1 down, 2 left, 3 right. The player moves to the next cell; a box there is pushed one cell further if
    that cell is floor without a box. Admissible are the actions that change something, of which there always is one (see
    `room.effective`). The others only take a step.

    ## Observation space

    `Box` of float32: 4 planes of (`size` - 2) x (`size` - 2) numbers, 1 or 0, one for each cell inside the outer wall, row by
    row: walls, targets, boxes, player. These are 64 numbers in a room of 6 x 6.

    ## Info

    At reset and at every step: `prompt`, the observation prompt; `action_ids` and `action_prompts`, the admissible actions and
    their prompts; `affordances`, the probability that each would have its effect: 1; `state`, the room's true state;
    `duration`, 1 (0 at reset); `primitive_steps` since the episode began; `success`, whether all boxes are on targets.

    The prompts do not tell walls that are neither next to the player nor next to a box. The observation and the state do.

    ## Rewards

    -0.1 for every step, +1 for a push of a box onto a target, -1 for a push of a box off a target, and +10 when all boxes are
    on targets. These are the rules of gym-sokoban (Schrader 2018, github.com/mpSchrader/gym-sokoban), which follows Racanière
    et al. 2017 (arxiv.org/abs/1707.06203).

    ## Termination and truncation

    *Terminated* when all boxes are on targets; otherwise *truncated* after `max_primitive_steps` steps. The limit is 120 in
    gym-sokoban, 15 in verl-agent's examples and 10 for RAGEN's Sokoban of 6 x 6 cells with one box.

    ## Ids

    `twosome/Sokoban-v0`, with `task` one of `one_box` (the default), `two_boxes`, `three_boxes`.

    ## Options

    | option | default | meaning |
    |---|---|---|
    | `prompt` | `"default"` | the wording: a name in `prompts.PROMPTERS`, `package.module:function`, a function |
    | `split` | `"train"` | the rooms: `"train"` or `"test"`, which have no room in common |
    | `size` | 6 | side of the room with its outer wall, 5 to 10 cells |
    | `num_rooms` | None | number of rooms; None: a new room for each episode |
    | `min_steps` | 1 | least number of steps of a room's shortest solution |
    | `max_primitive_steps` | 15 | when the episode is truncated |
    | `step_penalty` | -0.1 | for every step |
    | `on_target_reward` | 1.0 | for pushing a box onto a target |
    | `off_target_penalty` | -1.0 | for pushing a box off a target |
    | `solved_reward` | 10.0 | when all boxes are on targets |
    | `render_mode` | None | `"rgb_array"`: a picture; `"ansi"`: text |
    """

    tasks: ClassVar[tuple[str, ...]] = tuple(TASKS)
    action_names: ClassVar[tuple[str, ...]] = DIRECTIONS
    tests: ClassVar[dict[str, dict[str, Any]]] = {"unseen_rooms": {"kwargs.split": "test", "kwargs.num_rooms": None}}
    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own declaration
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
    }

    def __init__(
        self,
        task: str = "one_box",
        prompt: str | Prompter = "default",
        split: str = "train",
        size: int = 6,
        num_rooms: int | None = None,
        min_steps: int = 1,
        max_primitive_steps: int = 15,
        step_penalty: float = -0.1,
        on_target_reward: float = 1.0,
        off_target_penalty: float = -1.0,
        solved_reward: float = 10.0,
        render_mode: str | None = None,
    ) -> None:
        check_choice("task", task, TASKS)
        check_choice("split", split, SPLITS)
        check_whole("size", size, 5, 10)
        if num_rooms is not None:
            check_whole("num_rooms", num_rooms, 1, note=", or null for a new room in each episode")
        check_whole("max_primitive_steps", max_primitive_steps, 1)
        check_whole("min_steps", min_steps, 1, max_primitive_steps, f" with max_primitive_steps={max_primitive_steps}")
        self._rewards = {
            "step_penalty": step_penalty,
            "on_target_reward": on_target_reward,
            "off_target_penalty": off_target_penalty,
            "solved_reward": solved_reward,
        }
        for name, reward in self._rewards.items():
            check_number(name, reward, -1e15, 1e15, "a finite number")  # squares of larger ones overflow float32
        check_render_mode(render_mode, self.metadata["render_modes"])
        self._prompter = find_prompter(prompt, PROMPTERS)
        self._num_boxes, self._split, self._size, self._num_rooms = TASKS[task], split, size, num_rooms
        self._min_steps, self._max_primitive_steps = min_steps, max_primitive_steps
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Discrete(len(DIRECTIONS))
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (4 * (size - 2) ** 2,), np.float32)
        self._state: State | None = None  # none before the first reset
        self._primitive_steps = 0
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in a room that is drawn anew. Raises UserError if no room with these options is found."""
        super().reset(seed=seed)
        if self._num_rooms is None:
            self._state = self._draw(self.np_random)
        else:
            self._state = self._draw(np.random.default_rng(int(self.np_random.integers(self._num_rooms))))
        self._primitive_steps, self._over = 0, False
        return observe(self._state), self._info(self._state, duration=0)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do an action."""
        action = valid_action(action, self._over, len(DIRECTIONS))
        assert self._state is not None  # it is over before the first reset
        self._state, reward, duration, terminated = self.transition(self._state, action)
        self._primitive_steps += duration
        truncated = not terminated and self._primitive_steps >= self._max_primitive_steps
        self._over = terminated or truncated
        return observe(self._state), reward, terminated, truncated, self._info(self._state, duration)

    def _draw(self, random: np.random.Generator) -> State:
        return draw_room(random, self._size, self._num_boxes, self._split, self._min_steps, self._max_primitive_steps)

    def _info(self, state: State, duration: int) -> dict[str, Any]:
        action_ids = self.admissible(state)
        prompt, action_prompts = self._prompter(state)
        return {
            "prompt": prompt,
            "action_ids": action_ids,
            "action_prompts": action_prompts,
            "affordances": (1.0,) * len(action_ids),
            "state": state,
            "duration": duration,
            "primitive_steps": self._primitive_steps,
            "success": state.solved,
        }

    def demonstration(self) -> list[int]:
        """Return the actions of a shortest solution of the room that has just been drawn."""
        solution = None if self._state is None else shortest_solution(self._state, self._max_primitive_steps)
        return solution or []

    @property
    def initial_states(self) -> tuple[tuple[float, State], ...]:
        """The states after a reset with their probabilities, if `num_rooms` is given; otherwise empty.

        This property and the next two methods are for `optimum.Searchable`.
        """
        count = self._num_rooms or 0
        return tuple((1 / count, self._draw(np.random.default_rng(number))) for number in range(count))

    def admissible(self, state: State) -> tuple[int, ...]:
        """Return the actions that change a state."""
        return tuple(action for action, _ in effective(state))

    def transition(self, state: State, action: int) -> Transition:
        """Return the outcome of an action in a state."""
        following = after(state, action) or state
        placed, placed_before = (len(each.boxes & each.room.targets) for each in (following, state))
        reward = self._rewards["step_penalty"]
        if placed != placed_before:  # a box pushed from one target onto another changes nothing
            reward += self._rewards["on_target_reward" if placed > placed_before else "off_target_penalty"]
        if following.solved:
            reward += self._rewards["solved_reward"]
        return Transition(following, reward, 1, following.solved)

    def render(self) -> Any:
        """Return a picture (height, width, 3) or a text of the current state, by the render mode; None without one."""
        if self.render_mode is None or self._state is None:
            return None
        return (draw if self.render_mode == "rgb_array" else write)(self._state)


def observe(state: State) -> NDArray[np.float32]:
    """Return the symbolic observation, (fields,); the fields are documented in `SokobanEnv`."""
    room = state.room
    cells = room.inside
    planes = [[float(cell not in room.floor) for cell in cells]]
    planes += [[float(cell in plane) for cell in cells] for plane in (room.targets, state.boxes, {state.player})]
    return np.array(planes, dtype=np.float32).ravel()
