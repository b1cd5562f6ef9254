"""An environment's tests of generalisation: its settings for suite=glam, and the table of an agent's success on them."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from twosome import parts
from twosome.config import leaves
from twosome.errors import UserError, visible
from twosome.evaluation.records import Record
from twosome.policies.agent import MakeEnv
from twosome.terminal import Console

OWN = "own setting"
"""The name of the run's setting, without change."""
Z99 = 2.576
"""Standard errors in half of a 99 % interval, as GLAM's."""


def settings_of(env: DictConfig, changes: Mapping[str, Any], make_env: MakeEnv) -> dict[str, tuple[DictConfig, dict[str, Any]]]:
    """Return the environment's configuration in each test, the run's own setting first, and the options that differ.

    env: the run's. changes: what differs already. make_env: makes the environment; its attribute `tests` names the tests, each a
    mapping of options below ``env`` and their values. A test that the environment refuses with the run's other options is left
    out, with a note. Raises UserError without any tests.
    """
    made = make_env()
    tests: Mapping[str, Mapping[str, Any]] | None = getattr(made.unwrapped, "tests", None)
    made.close()
    if not tests:
        raise UserError(
            f"suite=glam: expected an environment with tests of generalisation (its attribute tests), as env=babyai_text; "
            f"{env.id} has none"
        )
    found = {OWN: (env, dict(changes))}
    own = dict(leaves(OmegaConf.to_container(env, resolve=True)))
    for name, options in tests.items():
        changed = env.copy()
        for option, value in options.items():
            OmegaConf.update(changed, option, value)
        try:
            parts.environment(changed)
        except UserError as error:  # such as of a run with three actions, which cannot pick up
            print(visible(f"note: the test {name} is left out: {error}"), file=sys.stderr)
            continue
        others = {option: value for option, value in options.items() if option not in ("task", "prompt")}
        found[name] = (changed, {**changes, **{option: value for option, value in others.items() if value != own.get(option)}})
    return found


def half_width(rate: float, episodes: int) -> float:
    """Return half of the 99 % interval of a success rate, by the normal distribution."""
    return Z99 * math.sqrt(rate * (1 - rate) / episodes)


def print_tests(found: Mapping[str, Sequence[Record]]) -> None:
    """Print the success of each player in each test, with 99 % intervals. found: records of sampled actions, by test."""
    players = list(dict.fromkeys(record["when"] for records in found.values() for record in records))
    table = Table(title="Success, sampled, ± half of the 99 % interval", title_justify="left", title_style="bold")
    table.add_column("test")
    for player in players:
        table.add_column(player, justify="right", no_wrap=True)
    for name, records in found.items():
        by = {record["when"]: record for record in records}
        table.add_row(name.replace("_", " "), *(_cell(by.get(player)) for player in players))
    Console().print(table)


def _cell(record: Record | None) -> str:
    if record is None:
        return ""
    return f"{record['success_rate']:.2f} ± {half_width(record['success_rate'], record['episodes']):.2f}"
