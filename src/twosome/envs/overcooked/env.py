"""The gymnasium environment of the kitchen."""

from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from twosome.envs.optimum import Transition
from twosome.envs.options import check_number, check_render_mode, check_whole, find_prompter, valid_action
from twosome.envs.overcooked.kitchen import CHOPS_NEEDED, DELIVERED, TASKS, Kitchen, State, make_kitchen, position
from twosome.envs.overcooked.macro_actions import IDLE, execute, has_effect, macro_actions
from twosome.envs.overcooked.prompts import PROMPTERS, Prompter
from twosome.envs.overcooked.render import draw, write


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
    defined in `macro_actions.has_effect`); `state`, the kitchen's true state; `duration` of the last macro-action, in
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
    | `map` | `"A"` | the kitchen's layout: a name in `kitchen.MAPS`; A is the paper's |
    | `obs_radius` | 2 | the window's reach in cells; 0: the agent sees everything |
    | `idle_actions` | 0 | so many actions that do nothing are added, up to 45: `macro_actions.IDLE` |
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
        rewards = (step_penalty, chop_reward, delivery_reward, wrong_delivery_penalty)
        for name, reward in zip(
            ("step_penalty", "chop_reward", "delivery_reward", "wrong_delivery_penalty"), rewards, strict=True
        ):
            check_number(name, reward, -1e15, 1e15, "a finite number")  # squares of larger ones overflow float32
        check_number("gamma", gamma, 1e-9, 1, "more than 0 and at most 1; the paper's is 0.99")
        check_whole("obs_radius", obs_radius, 0, note=", 0 for everything; the paper's is 2")
        check_whole("idle_actions", idle_actions, 0, len(IDLE), "; the paper's is 0")
        check_whole("max_primitive_steps", max_primitive_steps, 1, note="; the paper's is 200")
        check_render_mode(render_mode, self.metadata["render_modes"])
        kitchen = make_kitchen(task, map, obs_radius, idle_actions)
        self._automaton = shared_automaton(kitchen, rewards, gamma, find_prompter(prompt, PROMPTERS))
        self.kitchen = self._automaton.kitchen
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Discrete(len(self._automaton.action_ids))
        self.observation_space = gymnasium.spaces.Box(np.zeros_like(highest := _highest(kitchen)), highest)
        self._max_primitive_steps = max_primitive_steps
        self._state = kitchen.start
        self._last: tuple[State, int] | None = None  # the state and the action that led here
        self._primitive_steps = 0
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode from the initial state."""
        super().reset(seed=seed)
        self._state, self._last, self._primitive_steps, self._over = self.kitchen.start, None, 0, False
        return self._decision(duration=0, success=False)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do one macro-action to its end."""
        action = valid_action(action, self._over, len(self._automaton.action_ids))
        self._last = self._state, action
        self._state, reward, duration, terminated = self._automaton.transition(self._state, action)
        self._primitive_steps += duration
        truncated = not terminated and self._primitive_steps >= self._max_primitive_steps
        self._over = terminated or truncated
        obs, info = self._decision(duration, terminated)
        return obs, reward, terminated, truncated, info

    def _decision(self, duration: int, success: bool) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the observation and info of the current state."""
        view = self._automaton.view(self._state)
        info = {
            "prompt": view.prompt,
            "action_ids": self._automaton.action_ids,
            "action_prompts": view.action_prompts,
            "affordances": view.affordances,
            "state": self._state,
            "duration": duration,
            "primitive_steps": self._primitive_steps,
            "success": success,
        }
        return view.obs.copy(), info

    @property
    def action_names(self) -> tuple[str, ...]:
        """The macro-actions' names, by id."""
        return tuple(action.name for action in macro_actions(self.kitchen))

    @property
    def initial_states(self) -> tuple[tuple[float, State]]:
        """The state after a reset (this property and the next two methods are for `optimum.Searchable`)."""
        return ((1.0, self.kitchen.start),)

    def admissible(self, state: State) -> tuple[int, ...]:
        """Return all actions, which are admissible in every state."""
        return self._automaton.action_ids

    def transition(self, state: State, action: int) -> Transition:
        """Return the outcome of a macro-action in a state."""
        return self._automaton.transition(state, action)

    def render(self) -> Any:
        """Return a picture (height, width, 3) or a text of the current state, by the render mode; None without one."""
        if self.render_mode is None:
            return None
        return (draw if self.render_mode == "rgb_array" else write)(self.kitchen, self._state)

    def frames(self) -> list[NDArray[np.uint8]]:
        """Return a picture after each primitive step of the last macro-action, for a film of each step."""
        if self._last is None:
            return [draw(self.kitchen, self._state)]
        state, action = self._last
        return [draw(self.kitchen, s) for s, _ in execute(self.kitchen, state, macro_actions(self.kitchen)[action])]


class View(NamedTuple):
    """The agent's view of a state, and whether each macro-action would have its effect there (1 or 0)."""

    obs: NDArray[np.float32]
    prompt: str
    action_prompts: tuple[str, ...]
    affordances: tuple[float, ...]


class Automaton:
    """The environment as a finite automaton: every view and transition is computed once and then looked up.

    Random play visits 25 states of the small kitchen and about 1,100 of the full one. The tables are shared by all environments
    with the same options, so a step costs two look-ups.
    """

    def __init__(self, kitchen: Kitchen, rewards: tuple[float, ...], gamma: float, prompter: Prompter) -> None:
        """rewards: of every primitive step, then those that events add: a chopped food, a delivery, a wrong delivery."""
        step_penalty, *added = rewards
        self.kitchen = kitchen
        self.action_ids = tuple(range(len(macro_actions(kitchen))))
        self._rewards = [step_penalty + each for each in (0.0, *added)]  # by event
        self._gamma, self._prompter = gamma, prompter
        self._transitions: dict[tuple[State, int], Transition] = {}
        self._views: dict[State, View] = {}

    def transition(self, state: State, action: int) -> Transition:
        """Return the outcome of a macro-action in a state."""
        key = (state, action)
        if key not in self._transitions:
            steps = list(execute(self.kitchen, state, macro_actions(self.kitchen)[action]))
            reward = sum(self._gamma**number * self._rewards[event] for number, (_, event) in enumerate(steps))
            after, last = steps[-1]
            self._transitions[key] = Transition(after, reward, len(steps), last == DELIVERED)
        return self._transitions[key]

    def view(self, state: State) -> View:
        """Return the agent's view of a state."""
        if state not in self._views:
            prompt, words = self._prompter(self.kitchen, state)
            effects = (
                has_effect(self.kitchen, state, each, self.transition(state, action).state)
                for action, each in enumerate(macro_actions(self.kitchen))
            )
            self._views[state] = View(observe(self.kitchen, state), prompt, tuple(words), tuple(map(float, effects)))
        return self._views[state]


shared_automaton = lru_cache(maxsize=16)(Automaton)
"""Return the automaton that all environments with these options share."""


def observe(kitchen: Kitchen, state: State) -> NDArray[np.float32]:
    """Return the symbolic observation, (fields,); the fields are documented in `OvercookedEnv`."""
    fields: list[int] = []
    for food in range(len(kitchen.foods)):
        cell = position(state, food)
        fields += (*cell, state.chops[food]) if kitchen.sees(state.agent, cell) else (0, 0, 0)
    for cell in (position(state, kitchen.bowl), *kitchen.boards, kitchen.delivery):
        fields += cell if kitchen.sees(state.agent, cell) else (0, 0)
    fields += state.agent
    fields += [int(task == kitchen.task) for task in TASKS]
    return np.array(fields, dtype=np.float32)


def _highest(kitchen: Kitchen) -> NDArray[np.float32]:
    """Return the highest values of the observation's fields."""
    cell = (kitchen.rows - 1, kitchen.columns - 1)
    fields = (*cell, CHOPS_NEEDED) * len(kitchen.foods) + cell * (len(kitchen.boards) + 3) + (1,) * len(TASKS)
    return np.array(fields, dtype=np.float32)
