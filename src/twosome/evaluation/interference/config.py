"""The options of suite=interference. This module imports no PyTorch, since options are checked first."""

from dataclasses import dataclass

from twosome.errors import UserError, unknown_choice

WHEN = ("before", "after")


@dataclass
class InterferenceConfig:
    """The options of suite=interference; see conf/evaluate.yaml."""

    when: str = "before"
    critic_rollouts: int = 4
    situations: int = 200

    def __post_init__(self) -> None:
        if self.when not in WHEN:
            raise unknown_choice("interference.when", self.when, WHEN)
        for name in ("critic_rollouts", "situations"):
            if getattr(self, name) < 0:
                raise UserError(f"interference.{name}={getattr(self, name)}: expected 0 (none) or more")
