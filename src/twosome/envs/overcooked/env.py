"""The gymnasium environment of the kitchen."""

from math import isfinite
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from twosome.envs.optimum import Transition
from twosome.envs.options import check_max_primitive_steps, check_render_mode
from twosome.envs.overcooked.automaton import Rewards, View, shared_automaton
from twosome.envs.overcooked.kitchen import CHOPS_NEEDED, TASKS, Kitchen, State, make_kitchen
from twosome.envs.overcooked.macro_actions import execute
from twosome.envs.overcooked.prompts import PROMPTERS, Prompter
from twosome.envs.overcooked.render import draw, write
from twosome.envs.wording import find_prompter
from twosome.errors import UserError


class OvercookedEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """
    ## Mission

    An agent alone in a kitchen makes a salad: it chops the foods of the recipe, brings them into the bowl and carries
    the bowl to the delivery counter. It sees only a window of 5 x 5 cells around itself, and it decides in
    macro-actions.

    ## Kitchen

    A grid of counters and floor, (row, column) from (0, 0) in the upper left corner. The *small kitchen* (task
    `tomato_salad`) has a tomato, a bowl, one cutting board and the delivery counter; the *full kitchen* (the other six
    tasks) also has a lettuce, an onion and a second board. Primitive steps are right, down, left, up and stay. Moving
    into floor moves; moving against a counter, with

    - empty hands: takes what lies there; on a board, a food that is not chopped yet is chopped once (3 chops make it
      chopped) and is not taken;
    - an item: puts it down if nothing is there; a chopped food goes into a bowl that lies there (from a board, the
      agent takes the filled bowl), and a chopped food that lies there goes into a bowl that is held;
    - an item, at the delivery counter: delivers it. The bowl with exactly the recipe's foods ends the episode. Anything
      else is put back with its content to its initial place, and the foods are unchopped again.

    What cannot be done changes nothing.

    ## Action space

    `Discrete(5)` in the small kitchen, `Discrete(8)` in the full one. All can always be chosen. Each walks a shortest
    path to its target and uses it. One without an effect costs the way to its target, or one step. The option
    `idle_actions` adds actions that do nothing for one primitive step, such as "sleep"; their ids follow those below.

    | small | full | macro-action | |
    |---|---|---|---|
    | 0 | 0 | get tomato | takes it, or gets it into a held bowl; leaves an unchopped one on its board |
    | | 1 | get lettuce | likewise |
    | | 2 | get onion | likewise |
    | 1 | 3 | get bowl | takes it, and a chopped food in hand goes in; with an unchopped one, only walks there |
    | 2 | 4 | go to board 1 | uses it with what is held; with empty hands, only walks there |
    | | 5 | go to board 2 | likewise |
    | 3 | 6 | deliver | delivers what is held; with empty hands, only walks there |
    | 4 | 7 | chop | 3 primitive steps in front of a board with an unchopped food; elsewhere one wasted step |

    ## Observation space

    `Box` of float32, 18 numbers in the small kitchen and 26 in the full one. All fields of an object outside the window
    are 0. An object in the hand or in the bowl has the position of its carrier.

    | fields | meaning |
    |---|---|
    | 3 per food (tomato, lettuce, onion) | row, column, number of chops 0 to 3 |
    | 2 | bowl: row, column |
    | 2 per board | row, column |
    | 2 | delivery counter: row, column |
    | 2 | agent: row, column |
    | 7 | one-hot of the task, in the order of *Ids* |

    ## Info

    At reset and at every step: `prompt`, the observation prompt; `action_ids` and `action_prompts`, the actions that can
    be chosen and their prompts; `affordances`, whether each of them would have its effect now (1 or 0; the effects are
    defined in `affordances.has_effect`); `state`, the kitchen's true state; `duration` of the last macro-action, in
    primitive steps (0 at reset); `primitive_steps` since the episode began; `success`, whether the dish was just
    delivered.

    ## Rewards

    -0.001 for every primitive step, +0.2 when a food of the recipe becomes chopped, +1 for the delivery of the right
    dish, -0.1 for a wrong delivery. A step returns the sum over the macro-action's primitive steps, discounted by
    `gamma` per primitive step from its start. The episode's return is therefore the sum of
    `gamma ** primitive_steps_before * reward`.

    ## Termination and truncation

    *Terminated* when the right dish is delivered. *Truncated* when a macro-action ends at or after
    `max_primitive_steps`. That macro-action is completed, and if it delivers the dish the episode is terminated instead.

    ## Ids

    `twosome/Overcooked-v0`, with `task` one of `tomato_salad` (the default), `lettuce_salad`, `onion_salad`,
    `tomato_lettuce_salad`, `tomato_onion_salad`, `lettuce_onion_salad`, `tomato_lettuce_onion_salad`. The environment
    is deterministic: `seed` is accepted and has no effect.

    ## Options

    | option | default | meaning |
    |---|---|---|
    | `prompt` | `"default"` | the wording: a name in `prompts.PROMPTERS`, `package.module:function`, a function |
    | `map` | `"A"` | the kitchen's layout: a name in `maps.MAPS`; A is the paper's |
    | `obs_radius` | 2 | the window's reach in cells; 0: the agent sees everything |
    | `idle_actions` | 0 | so many actions that do nothing are added, up to 45: `idle.IDLE` |
    | `max_primitive_steps` | 200 | when the episode is truncated |
    | `gamma` | 0.99 | the discount per primitive step inside a macro-action |
    | `step_penalty` | -0.001 | for every primitive step |
    | `chop_reward` | 0.2 | when a food of the recipe becomes chopped |
    | `delivery_reward` | 1.0 | for the right dish |
    | `wrong_delivery_penalty` | -0.1 | for any other delivery |
    | `render_mode` | None | `"rgb_array"`: a picture; `"ansi"`: text |
    """

    tasks: ClassVar[tuple[str, ...]] = tuple(TASKS)
    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own declaration
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 6,
    }

    def __init__(
        self,
        task: str = "tomato_salad",
        prompt: str | Prompter = "default",
        map: str = "A",
        obs_radius: int = 2,
        idle_actions: int = 0,
        max_primitive_steps: int = 200,
        gamma: float = 0.99,
        step_penalty: float = -0.001,
        chop_reward: float = 0.2,
        delivery_reward: float = 1.0,
        wrong_delivery_penalty: float = -0.1,
        render_mode: str | None = None,
    ) -> None:
        rewards = Rewards(step_penalty, chop_reward, delivery_reward, wrong_delivery_penalty)
        _check_options(max_primitive_steps, gamma, rewards, render_mode)
        prompter = find_prompter(prompt, PROMPTERS, "(kitchen, state)")
        self._automaton = shared_automaton(make_kitchen(task, map, obs_radius, idle_actions), rewards, gamma, prompter)
        self.kitchen = self._automaton.kitchen
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Discrete(len(self._automaton.action_ids))
        self.observation_space = _observation_space(self.kitchen)
        self._max_primitive_steps = max_primitive_steps
        self._state = self.kitchen.start
        self._last: tuple[State, int] | None = None  # the state and the action that led here
        self._primitive_steps = 0
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode from the initial state."""
        super().reset(seed=seed)
        self._state, self._last, self._primitive_steps, self._over = self.kitchen.start, None, 0, False
        view = self._automaton.view(self._state)
        return view.obs.copy(), self._info(view, duration=0, success=False)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do one macro-action to its end."""
        if self._over:
            raise ResetNeeded("the episode is over or has not begun: call reset() before step()")
        action = int(action)
        if not 0 <= action < len(self._automaton.action_ids):
            raise UserError(f"action={action}: expected 0 to {len(self._automaton.action_ids) - 1}, a macro-action's id")
        state, reward, duration, terminated = self._automaton.outcome(self._state, action)
        self._state, self._last = state, (self._state, action)
        self._primitive_steps += duration
        truncated = not terminated and self._primitive_steps >= self._max_primitive_steps
        self._over = terminated or truncated
        view = self._automaton.view(state)
        return view.obs.copy(), reward, terminated, truncated, self._info(view, duration, terminated)

    def _info(self, view: View, duration: int, success: bool) -> dict[str, Any]:
        return {
            "prompt": view.prompt,
            "action_ids": self._automaton.action_ids,
            "action_prompts": view.action_prompts,
            "affordances": view.affordances,
            "state": self._state,
            "duration": duration,
            "primitive_steps": self._primitive_steps,
            "success": success,
        }

    @property
    def action_names(self) -> tuple[str, ...]:
        """The macro-actions' names, by id."""
        return tuple(action.name for action in self._automaton.macro_actions)

    @property
    def initial_state(self) -> State:
        """The state after a reset (this property and the next two methods are for `optimum.Searchable`)."""
        return self.kitchen.start

    def admissible(self, state: State) -> tuple[int, ...]:
        """Return all actions, which are admissible in every state."""
        return self._automaton.action_ids

    def transition(self, state: State, action: int) -> Transition:
        """Return the outcome of a macro-action in a state."""
        return Transition(*self._automaton.outcome(state, action))

    def render(self) -> Any:
        """Return a picture (rows, columns, 3) or a text of the current state, by the render mode; None without one."""
        if self.render_mode is None:
            return None
        return (draw if self.render_mode == "rgb_array" else write)(self.kitchen, self._state)

    def frames(self) -> list[NDArray[np.uint8]]:
        """Return a picture after each primitive step of the last macro-action, for a film of each step."""
        if self._last is None:
            return [draw(self.kitchen, self._state)]
        state, action = self._last
        return [draw(self.kitchen, s) for s, _ in execute(self.kitchen, state, self._automaton.macro_actions[action])]


def _observation_space(kitchen: Kitchen) -> gymnasium.spaces.Space[NDArray[np.float32]]:
    cell = (kitchen.rows - 1, kitchen.columns - 1)
    high = (*cell, CHOPS_NEEDED) * len(kitchen.foods) + cell * (len(kitchen.boards) + 3) + (1,) * len(TASKS)
    box = gymnasium.spaces.Box(0, np.array(high, dtype=np.float32), dtype=np.float32)
    return cast(gymnasium.spaces.Space[NDArray[np.float32]], box)


def _check_options(max_primitive_steps: int, gamma: float, rewards: Rewards, render_mode: str | None) -> None:
    check_max_primitive_steps(max_primitive_steps, papers=200)
    if not isinstance(gamma, int | float) or not 0 < gamma <= 1:
        raise UserError(f"gamma={gamma}: expected more than 0 and at most 1; the paper's is 0.99")
    for name, value in vars(rewards).items():
        if not isinstance(value, int | float) or not isfinite(value):
            raise UserError(f"{name}={value}: expected a finite number; the paper's is {getattr(Rewards, name)}")
    check_render_mode(render_mode, OvercookedEnv.metadata["render_modes"])
