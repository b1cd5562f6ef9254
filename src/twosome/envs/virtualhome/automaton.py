"""A task as a finite automaton: what is seen, said and done in each state is computed once and then looked up.

The tables fill as the environments of a process play, which share them.
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
    """What the agent gets to know of a state."""

    obs: NDArray[np.float32]
    prompt: str
    action_ids: tuple[int, ...]
    action_prompts: tuple[str, ...]
    affordances: tuple[float, ...]  # all 1: only actions that would have their effect are admissible
    success: bool  # whether the goal is reached, which the agent is told by the reward


class Automaton:
    """Views and outcomes of one task, by state."""

    def __init__(self, home: Home, task: Task, prompter: Prompter) -> None:
        self.home = home
        self.task = task
        self._prompter = prompter
        self._views: dict[State, View] = {}

    def outcome(self, state: State, action: int) -> State | None:
        """The state after an action, or None where it is refused."""
        return self.home.execute(state, self.task.actions[action].script)

    def admissible(self, state: State) -> tuple[int, ...]:
        """The ids of the actions that would be carried out, and would change something about the agent's relation to the
        objects that they name: walking to where the agent is, or to what it holds, changes nothing of that kind."""
        found = []
        for number, action in enumerate(self.task.actions):
            after = self.outcome(state, number)
            if after is not None and _concerning(state, action.script) != _concerning(after, action.script):
                found.append(number)
        return tuple(found)

    def seen(self, state: State) -> frozenset[Fact]:
        """The facts about what is in sight, with (name, SEEN) for each such thing."""
        visible = self.home.visible(state)
        return frozenset(fact for fact in state if visible.issuperset(fact[::2])) | {(name, SEEN) for name in visible}

    def view(self, state: State) -> View:
        """What the agent gets to know of a state."""
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


def _concerning(state: State, script: Fact) -> frozenset[Fact]:
    """The facts among the agent and the objects of a script."""
    names = {CHARACTER, *script[1:]}
    return frozenset(fact for fact in state if names.issuperset(fact[::2]))


@lru_cache(maxsize=64)
def shared_automaton(task: str, prompter: Prompter) -> Automaton:
    """The automaton that all environments with these options use."""
    return Automaton(shared_home(), load_task(task), prompter)
