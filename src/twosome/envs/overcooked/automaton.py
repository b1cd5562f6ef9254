"""The environment as a finite automaton: every decision and its outcome is computed once and then looked up.

Random play visits 25 states of the small kitchen and about 1,100 of the full one. The tables are shared by all environments with
the same options, so a step costs two look-ups.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twosome.envs.overcooked.affordances import has_effect
from twosome.envs.overcooked.kitchen import TASKS, Event, Kitchen, State, position
from twosome.envs.overcooked.macro_actions import execute, macro_actions
from twosome.envs.overcooked.prompts import Prompter
from twosome.errors import UserError

MAX_ENTRIES = 100_000  # per table; a full table is cleared


@dataclass(frozen=True)
class Rewards:
    """The rewards of primitive steps; the names are the environment's options."""

    step_penalty: float = -0.001
    chop_reward: float = 0.2
    delivery_reward: float = 1.0
    wrong_delivery_penalty: float = -0.1

    def of(self, event: Event) -> float:
        """Return the reward of one primitive step."""
        return (
            self.step_penalty
            + {
                Event.NOTHING: 0.0,
                Event.INGREDIENT_CHOPPED: self.chop_reward,
                Event.DELIVERED: self.delivery_reward,
                Event.WRONG_DELIVERY: self.wrong_delivery_penalty,
            }[event]
        )


class Outcome(NamedTuple):
    """The outcome of a macro-action in a state."""

    state: State
    reward: float  # discounted per primitive step, from the macro-action's start
    duration: int  # in primitive steps
    delivered: bool


class View(NamedTuple):
    """The agent's view of a state, and whether each macro-action would have its effect there (1 or 0)."""

    obs: NDArray[np.float32]
    prompt: str
    action_prompts: tuple[str, ...]
    affordances: tuple[float, ...]


class Automaton:
    """The outcomes and views of one kitchen, by state."""

    def __init__(self, kitchen: Kitchen, rewards: Rewards, gamma: float, prompter: Prompter) -> None:
        self.kitchen = kitchen
        self.macro_actions = macro_actions(kitchen)
        self.action_ids = tuple(range(len(self.macro_actions)))
        self.prompter = prompter
        self._rewards = rewards
        self._gamma = gamma
        self._outcomes: dict[tuple[State, int], Outcome] = {}
        self._views: dict[State, View] = {}

    def outcome(self, state: State, action: int) -> Outcome:
        """Return the outcome of a macro-action in a state."""
        key = (state, action)
        found = self._outcomes.get(key)
        return self._remember(self._outcomes, key, self._execute(state, action)) if found is None else found

    def view(self, state: State) -> View:
        """Return the agent's view of a state."""
        found = self._views.get(state)
        return self._remember(self._views, state, self._describe(state)) if found is None else found

    @staticmethod
    def _remember(table: dict[Any, Any], key: Any, value: Any) -> Any:
        if len(table) >= MAX_ENTRIES:
            table.clear()
        table[key] = value
        return value

    def _execute(self, state: State, action: int) -> Outcome:
        steps = list(execute(self.kitchen, state, self.macro_actions[action]))
        reward = sum(self._gamma**i * self._rewards.of(event) for i, (_, event) in enumerate(steps))
        last_state, last_event = steps[-1]
        return Outcome(last_state, reward, len(steps), last_event == Event.DELIVERED)

    def _describe(self, state: State) -> View:
        prompt, action_prompts = self.prompter(self.kitchen, state)
        if len(action_prompts) != len(self.action_ids):
            raise UserError(
                f"prompt={self.prompter}: expected {len(self.action_ids)} action prompts, one per macro-action, "
                f"got {len(action_prompts)}"
            )
        affordances = tuple(self._affordance(state, action) for action in self.action_ids)
        return View(observe(self.kitchen, state), prompt, tuple(action_prompts), affordances)

    def _affordance(self, state: State, action: int) -> float:
        return float(has_effect(self.kitchen, state, self.macro_actions[action], self.outcome(state, action).state))


def observe(kitchen: Kitchen, state: State) -> NDArray[np.float32]:
    """Return the symbolic observation, (fields,); the fields are documented in `env.OvercookedEnv`."""
    fields: list[int] = []
    for food in range(len(kitchen.foods)):
        cell = position(state, food)
        fields += (*cell, state.chops[food]) if kitchen.sees(state.agent, cell) else (0, 0, 0)
    for cell in (position(state, kitchen.bowl), *kitchen.boards, kitchen.delivery):
        fields += cell if kitchen.sees(state.agent, cell) else (0, 0)
    fields += state.agent
    fields += [int(task == kitchen.task) for task in TASKS]
    return np.array(fields, dtype=np.float32)


@lru_cache(maxsize=16)
def shared_automaton(kitchen: Kitchen, rewards: Rewards, gamma: float, prompter: Prompter) -> Automaton:
    """Return the automaton that all environments with these options share."""
    return Automaton(kitchen, rewards, gamma, prompter)
