"""What an environment gives is checked here, and what goes wrong in it is told with the way there."""

from typing import Any

import gymnasium

from twosome.envs.contract import Contract, Words
from twosome.errors import ContractError, RunError, UserError, is_interruption, raised


class Checked(gymnasium.Wrapper):
    """Around every environment that a configuration names.

    Raises ContractError where the environment does not keep to its contract, RunError where it raises anything itself, SystemExit
    included; both name its id, its number among those side by side, if any, and the actions since the episode began.
    """

    def __init__(self, env: gymnasium.Env, known: dict[int, Words] | None = None) -> None:
        """known: as in Contract."""
        super().__init__(env)
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
            self._tell("reset", error)
            raise

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act."""
        self.actions.append(int(action))
        try:
            return self.contract.step(self.env.step(action))
        except BaseException as error:
            self._tell("step", error)
            raise

    def close(self) -> None:
        """End."""
        try:
            self.env.close()
        except BaseException as error:
            self._tell("close", error)
            raise

    def _tell(self, call: str, error: BaseException) -> None:
        """Raise what tells of the error; return where the error does so itself, or is none of the environment's."""
        way = f"actions since the episode began: {self.actions}" if self.actions else "before the first action"
        if isinstance(error, ContractError):
            raise ContractError(f"{self._name()}: {error} (see CONTRIBUTING.md); {way}") from error
        if not isinstance(error, UserError) and not is_interruption(error):
            raise RunError(
                f"{self._name()}: its {call}() {raised(error)}; {way}; HYDRA_FULL_ERROR=1 shows the traceback"
            ) from error

    def _name(self) -> str:
        return f"env.id={self.id}" + ("" if self.number is None else f", environment {self.number}")
