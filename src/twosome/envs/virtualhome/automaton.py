"""A task as a finite automaton: the view and the outcomes of each state are computed once and then looked up.

All environments of a process share the tables.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twosome.envs.virtualhome.prompts import Prompter, Situation
from twosome.envs.virtualhome.scene import CHARACTER
from twosome.envs.virtualhome.simulator import Fact, Home, State, shared_home
from twosome.envs.virtualhome.task import SEEN, Task, load_task
from twosome.errors import UserError


class View(NamedTuple):
    """The agent's view of a state."""

    obs: NDArray[np.float32]
    prompt: str
    action_ids: tuple[int, ...]
    action_prompts: tuple[str, ...]
    affordances: tuple[float, ...]  # all 1: only actions that would have their effect are admissible
    success: bool  # whether the goal is reached; the reward shows it to the agent


class Automaton:
    """The views and outcomes of one task, by state."""

    def __init__(self, home: Home, task: Task, prompter: Prompter) -> None:
        self.home = home
        self.task = task
        self._prompter = prompter
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
            self._views[state] = self._describe(state)
        return self._views[state]

    def _describe(self, state: State) -> View:
        seen, action_ids = self.seen(state), self.admissible(state)
        if not action_ids:
            raise UserError(f"task={self.task.name}: a state without an admissible action; expected a way out of every state")
        situation = Situation(self.task, seen, tuple(self.task.actions[action] for action in action_ids))
        prompt, action_prompts = self._prompter(situation)
        if len(action_prompts) != len(action_ids):
            raise UserError(
                f"prompt={self._prompter}: expected {len(action_ids)} action prompts, one per admissible action, "
                f"got {len(action_prompts)}"
            )
        obs = np.array([fact in seen for _, fact in self.task.bits], dtype=np.float32)
        sure = (1.0,) * len(action_ids)
        return View(obs, prompt, action_ids, tuple(action_prompts), sure, self.task.succeeded(state))


def _facts_about(state: State, script: Fact) -> frozenset[Fact]:
    """Return the facts about the agent and the objects of a script."""
    names = {CHARACTER, *script[1:]}
    return frozenset(fact for fact in state if names.issuperset(fact[::2]))


@lru_cache(maxsize=64)
def shared_automaton(task: str, prompter: Prompter) -> Automaton:
    """Return the automaton that all environments with these options share."""
    return Automaton(shared_home(), load_task(task), prompter)
