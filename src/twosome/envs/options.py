"""Checks of the options that all environments share."""

from collections.abc import Sequence

from twosome.errors import UserError, unknown_choice


def check_max_primitive_steps(value: object, papers: int) -> None:
    """Raise UserError unless value is an integer of at least 1. papers: the paper's value, for the message."""
    if not isinstance(value, int) or value < 1:
        raise UserError(f"max_primitive_steps={value}: expected a whole number from 1 on; the paper's is {papers}")


def check_render_mode(value: str | None, modes: Sequence[str]) -> None:
    """Raise UserError unless value is None or one of the environment's render modes."""
    if value is not None and value not in modes:
        raise unknown_choice("render_mode", value, modes)
