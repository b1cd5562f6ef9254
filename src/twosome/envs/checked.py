"""A wrapper that checks an environment's return values and reports its errors with the actions that led to them."""

import sys
from typing import Any

import gymnasium

from twosome.envs.contract import Contract, Words
from twosome.errors import ContractError, RunError, UserError, is_interruption, raised, visible

LONG = 10_000
"""The number of decisions after which an episode may be one that never ends."""


class Checked(gymnasium.Wrapper):
    """A wrapper of every environment that a configuration names.

    It raises ContractError if the environment violates its contract, and RunError if the environment raises any exception,
    including SystemExit. Both messages name its id, its number in a vector of environments, if any, and the actions since the
    episode began. A note says when an episode is LONG.
    """

    def __init__(self, env: gymnasium.Env, known: dict[int, Words] | None = None, notes: set[str] | None = None) -> None:
        """known: as in Contract. notes: those printed so far, shared by the environments of a run."""
        super().__init__(env)
        self.notes = set() if notes is None else notes
        self.actions: list[int] = []
        self.id = env.spec.id if env.spec else type(env.unwrapped).__name__
        self.number: int | None = None
        try:
            self.contract = Contract(env, known)
        except ContractError as error:
            raise ContractError(f"{self._name()}: {error} (see CONTRIBUTING.md)") from error

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self.actions = []
        try:
            return self.contract.reset(self.env.reset(seed=seed, options=options))
        except BaseException as error:
            self._reraise("reset", error)
            raise

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Do an action."""
        self.actions.append(int(action))
        if len(self.actions) == LONG:
            self._note_length()
        try:
            return self.contract.step(self.env.step(action))
        except BaseException as error:
            self._reraise("step", error)
            raise

    def close(self) -> None:
        """Close the environment."""
        try:
            self.env.close()
        except BaseException as error:
            self._reraise("close", error)
            raise

    def _reraise(self, call: str, error: BaseException) -> None:
        """Raise the error with its context; return if it is a UserError or an interruption, which the caller raises again."""
        way = f"actions since the episode began: {self.actions}" if self.actions else "before the first action"
        if isinstance(error, ContractError):
            raise ContractError(f"{self._name()}: {error} (see CONTRIBUTING.md); {way}") from error
        if not isinstance(error, UserError) and not is_interruption(error):
            raise RunError(
                f"{self._name()}: its {call}() {raised(error)}; {way}; HYDRA_FULL_ERROR=1 shows the traceback"
            ) from error

    def _note_length(self) -> None:
        note = visible(
            f"note: env.id={self.id}: an episode has {LONG:,} decisions and goes on; if it may never end, limit it: "
            "+env.kwargs.max_episode_steps=<decisions> (gymnasium's TimeLimit), or an option of the environment"
        )
        if note not in self.notes:
            self.notes.add(note)
            print(note, file=sys.stderr, flush=True)

    def _name(self) -> str:
        return f"env.id={self.id}" + ("" if self.number is None else f", environment {self.number}")
