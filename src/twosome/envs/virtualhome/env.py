"""The gymnasium environment of the apartment."""

from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from twosome.envs.optimum import Transition
from twosome.envs.options import check_render_mode, check_whole, find_prompter, valid_action
from twosome.envs.virtualhome.prompts import PROMPTERS, Prompter, Situation
from twosome.envs.virtualhome.render import draw, write
from twosome.envs.virtualhome.simulator import CHARACTER, Fact, State, shared_home
from twosome.envs.virtualhome.task import SEEN, load_task, task_names


class VirtualHomeEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """
    ## Mission

    An agent alone in an apartment of four rooms does a household task: it heats up a pancake in the microwave, or sits
    down in front of the television with chips and milk. The world is VirtualHome's evolving graph: things have states
    (open, closed, on, off) and relations (inside, on, close, facing, held by a hand). VirtualHome's own simulator
    executes an action or refuses it.

    ## Apartment

    `scene.yaml` lists the objects in the kitchen, bathroom, bedroom and living room. The agent begins in the kitchen,
    with empty hands, close to nothing. Everything that can be opened is closed, everything that has a switch is off.

    ## Action space

    `Discrete(10)`, in entertainment `Discrete(17)`: first walking to each room, in the order of the observation's
    fields, then the actions that the task's file in `tasks` lists, each a line of VirtualHome's script with its prompt.
    Any action can be done at any time; one that is refused is a step that changes nothing. An action is refused if one
    of the simulator's preconditions does not hold, if it names an object out of sight, or if it uses a switch while both
    hands are full. An object is in sight if it is in the agent's room or hands and not inside anything closed.

    | script | needs | does |
    |---|---|---|
    | WALK room | not sitting | brings the agent there, close to nothing but what it holds |
    | WALK thing | not sitting | brings the agent close to it, and away from the rest |
    | GRAB thing | being close, a free hand | takes it |
    | PUTBACK thing place | holding the thing, being close to the place | puts it there |
    | PUTIN thing place | the same, and that the place is open | puts it inside |
    | OPEN thing, CLOSE thing | being close; to open: a free hand | opens, closes it |
    | SWITCHON thing, SWITCHOFF thing | being close, a free hand | switches it |
    | SIT thing | being close, not sitting | the agent sits, and faces what the seat faces |
    | STANDUP | sitting | the agent stands |

    The simulator also counts objects as close that lie on or are close to something close.

    `info` offers the *admissible* actions: those that would be executed and would change the state of the agent or of
    an object that they name, or a relation between these. For example, walking is offered to all other rooms and to all
    objects in sight that the agent is not close to, but not while it sits. There always is an admissible action.

    ## Observation space

    `Box` of float32, 0 or 1 per field: 11 fields, in entertainment 21. A field is 1 if a fact holds and is in sight.
    Their names are `env.unwrapped.observation_names`.

    | field | for | meaning |
    |---|---|---|
    | `in_<room>` | kitchen, bathroom, bedroom, livingroom | the agent is there |
    | `see_<thing>` | each object of the task, with the following fields | it is in sight |
    | `close_to_<thing>` | each | the agent has gone to it, put something there or taken it, and has not gone elsewhere since |
    | `hold_<thing>` | what can be grabbed | it is in a hand |
    | `<thing>_on_<place>` | what can be put on a place | it lies there |
    | `is_face_<thing>` | what can be looked at | the agent faces it: it sat down before it and has not walked since |
    | `is_<thing>_on` | what has a switch | it is on |
    | `is_sit_<thing>` | seats | the agent has sat down there; the simulator never takes that back, even when it stands |
    | `is_<thing>_open` | what can be opened | it is open |
    | `<thing>_in_<place>` | containers, for all that can be put in | it is inside, and the container is open |

    ## Info

    At reset and at every step: `prompt`, the observation prompt; `action_ids` and `action_prompts`, the admissible
    actions and their prompts; `affordances`, the probability that each would have its effect: 1, since only such
    actions are admissible; `state`, VirtualHome's graph as a set of facts; `executed`, whether the last action was
    not refused (true at reset); `duration`, 1 (0 at reset); `primitive_steps` since the episode began; `success`,
    whether the goal was just reached.

    ## Rewards

    1 when the goal is reached, otherwise 0. The discount of 0.95 per action is applied outside the environment.

    ## Termination and truncation

    *Terminated* when all facts under `success` in the task's file hold: in food preparation, the agent is in the kitchen
    and the pancake inside the closed microwave; in entertainment, the agent sits on the sofa and faces the television,
    which is on, and chips and milk are each close to it or on the coffee table. *Truncated* after `max_primitive_steps`.

    ## Ids

    `twosome/VirtualHome-v0`, with `task` one of `food_preparation` (the default), `entertainment`, and, with food
    preparation's dynamics and other objects, `cheese`, `hamburger`, `apple_pie`, `pizza`, `washing_plate`, `laundry`; a
    new file in `tasks` is a new task. The environment is deterministic: `seed` is accepted and has no effect.

    ## Options

    | option | default | meaning |
    |---|---|---|
    | `prompt` | `"default"` | the wording: a name in `prompts.PROMPTERS`, `package.module:function`, a function |
    | `max_primitive_steps` | 50 | when the episode is truncated |
    | `render_mode` | None | `"rgb_array"`: a picture; `"ansi"`: text |
    """

    tasks: ClassVar[tuple[str, ...]] = task_names()
    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own declaration
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 2,
    }

    def __init__(
        self,
        task: str = "food_preparation",
        prompt: str | Prompter = "default",
        max_primitive_steps: int = 50,
        render_mode: str | None = None,
    ) -> None:
        check_whole("max_primitive_steps", max_primitive_steps, 1, note="; the paper's is 50")
        check_render_mode(render_mode, self.metadata["render_modes"])
        self._automaton = shared_automaton(task, find_prompter(prompt, PROMPTERS))
        self.task = self._automaton.task
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Discrete(len(self.task.actions))
        self.observation_space = gymnasium.spaces.Box(0, 1, (len(self.task.bits),), dtype=np.float32)
        self._max_primitive_steps = max_primitive_steps
        self._state = self._automaton.home.start
        self._primitive_steps = 0
        self._over = True

    @property
    def action_names(self) -> tuple[str, ...]:
        """The actions' lines of script in lower case, by id."""
        return tuple(" ".join(action.script).lower() for action in self.task.actions)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """The names of the observation's fields."""
        return tuple(name for name, _ in self.task.bits)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode from the initial state."""
        super().reset(seed=seed)
        self._state, self._primitive_steps, self._over = self._automaton.home.start, 0, False
        return self._decision(executed=True, duration=0)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Do an action; one that is refused changes nothing."""
        action = valid_action(action, self._over, len(self.task.actions))
        after = self._automaton.outcome(self._state, action)
        self._state = self._state if after is None else after
        self._primitive_steps += 1
        obs, info = self._decision(executed=after is not None, duration=1)
        success = info["success"]
        truncated = not success and self._primitive_steps >= self._max_primitive_steps
        self._over = success or truncated
        return obs, float(success), success, truncated, info

    def _decision(self, executed: bool, duration: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return the observation and info of the current state."""
        view = self._automaton.view(self._state)
        info = {
            "prompt": view.prompt,
            "action_ids": view.action_ids,
            "action_prompts": view.action_prompts,
            "affordances": view.affordances,
            "state": self._state,
            "executed": executed,
            "duration": duration,
            "primitive_steps": self._primitive_steps,
            "success": view.success,
        }
        return view.obs.copy(), info

    def render(self) -> Any:
        """Return a picture (height, width, 3) or a text of the current state, by the render mode; None without one."""
        if self.render_mode is None:
            return None
        return (draw if self.render_mode == "rgb_array" else write)(self.task, self._state)

    @property
    def initial_states(self) -> tuple[tuple[float, State]]:
        """The state after a reset (this property and the next two methods are for `optimum.Searchable`)."""
        return ((1.0, self._automaton.home.start),)

    def admissible(self, state: State) -> tuple[int, ...]:
        """Return the ids of the admissible actions of a state."""
        return self._automaton.view(state).action_ids

    def transition(self, state: State, action: int) -> Transition:
        """Return the outcome of an action in a state."""
        after = self._automaton.outcome(state, action)
        reached = state if after is None else after
        success = self._automaton.view(reached).success
        return Transition(reached, float(success), 1, success)


class View(NamedTuple):
    """The agent's view of a state."""

    obs: NDArray[np.float32]
    prompt: str
    action_ids: tuple[int, ...]
    action_prompts: tuple[str, ...]
    affordances: tuple[float, ...]  # all 1: only actions that would have their effect are admissible
    success: bool  # whether the goal is reached; the reward shows it to the agent


class Automaton:
    """A task as a finite automaton: the view of each state is computed once and then looked up.

    All environments of a process with the same options share the table.
    """

    def __init__(self, task: str, prompter: Prompter) -> None:
        self.home, self.task, self._prompter = shared_home(), load_task(task), prompter
        self._views: dict[State, View] = {}

    def outcome(self, state: State, action: int) -> State | None:
        """Return the state after an action, or None if the simulator refuses it."""
        return self.home.execute(state, self.task.actions[action].script)

    def admissible(self, state: State) -> tuple[int, ...]:
        """Return the ids of the admissible actions.

        An action is admissible if it would be executed and would change a fact about the agent and the objects that it names.
        Walking to where the agent is, or to what it holds, does not.
        """
        found = []
        for number, action in enumerate(self.task.actions):
            after = self.outcome(state, number)
            if after is not None and _facts_about(state, action.script) != _facts_about(after, action.script):
                found.append(number)
        return tuple(found)

    def seen(self, state: State) -> frozenset[Fact]:
        """Return the facts about objects in sight, with (name, SEEN) for each of these objects."""
        visible = self.home.visible(state)
        return frozenset(fact for fact in state if visible.issuperset(fact[::2])) | {(name, SEEN) for name in visible}

    def view(self, state: State) -> View:
        """Return the agent's view of a state."""
        if state not in self._views:
            seen, action_ids = self.seen(state), self.admissible(state)
            situation = Situation(self.task, seen, tuple(self.task.actions[action] for action in action_ids))
            prompt, action_prompts = self._prompter(situation)
            obs = np.array([fact in seen for _, fact in self.task.bits], dtype=np.float32)
            sure = (1.0,) * len(action_ids)
            self._views[state] = View(obs, prompt, action_ids, tuple(action_prompts), sure, self.task.succeeded(state))
        return self._views[state]


def _facts_about(state: State, script: Fact) -> frozenset[Fact]:
    """Return the facts about the agent and the objects of a script."""
    names = {CHARACTER, *script[1:]}
    return frozenset(fact for fact in state if names.issuperset(fact[::2]))


shared_automaton = lru_cache(maxsize=64)(Automaton)
"""Return the automaton that all environments with these options share."""
