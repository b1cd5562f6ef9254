"""The records of a run's evaluation.json.

The records of the run itself hold results only, so that equal runs have equal files. Records that src/evaluate.py added to a
finished run also have an entry LATER, made by `stamp`. They never replace the run's own records.
"""

import getpass
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from twosome import build
from twosome.agents.agent import Agent, MakeEnv
from twosome.config import EvaluationConfig
from twosome.evaluation.episodes import play, summarize
from twosome.storage.folder import RunFolder
from twosome.storage.provenance import now

FILE = "evaluation.json"
MODES = ("sampled", "greedy")
SETTING = ("env", "task", "prompt", "options")
KEY = ("when", *SETTING, "mode")
LATER = "evaluated"
Record = dict[str, Any]


def evaluate(
    agent: Agent,
    make_env: MakeEnv,
    env: DictConfig,
    config: EvaluationConfig,
    when: str,
    options: Mapping[str, Any] | None = None,
    modes: Sequence[str] = MODES,
) -> list[Record]:
    """Play config.episodes episodes in each mode, sampled or greedy; return a record of each.

    when: "before" or "after" training, or "random". options: the environment's options that differ from the run's own, by name.
    A record also holds the environment's optimal return ("optimum"), or None if it is not known.
    """
    records: list[Record] = []
    optimum = build.optimum(env, make_env)
    for mode in modes:
        title = f"evaluation of {env.get('task') or env.id} ({when}, {mode})"
        greedy, asked = mode == "greedy", {"mode": mode, "seed": config.seed}
        found = summarize(play(agent, make_env, config.episodes, env.gamma, config.seed, greedy=greedy, title=title))
        records.append({"when": when, **setting_of(env, options), **asked} | found | {"optimum": optimum})
    return records


def stamp(suite: str, trust: bool) -> Record:
    """Return the entry LATER of an evaluation that begins now: the time, the user, the suite and whether trust was given."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return {"at": now(), "by": f"{user}@{socket.gethostname()}", "suite": suite, "trust": trust}


def read(folder: RunFolder) -> list[Record]:
    """Return all records of a folder, none if it was never evaluated. Raises UserError if the file is not JSON."""
    found: list[Record] = folder.read_json(FILE, default=[])
    return found


def write_own(folder: RunFolder, records: Sequence[Record]) -> None:
    """Write records as the run's own.

    They replace the run's own records with the same KEY, since a resumed run may evaluate again.
    """
    there, keys = read(folder), [_key(record, KEY) for record in records]
    own = [old for old in there if LATER not in old and _key(old, KEY) not in keys]
    folder.write_json(FILE, [*own, *records, *(old for old in there if LATER in old)])


def add(folder: RunFolder, records: Sequence[Record], evaluated: Record) -> list[Record]:
    """Add records of a later evaluation, with evaluated (from `stamp`) as their entry LATER; return them as they are in the file.

    Existing records do not change. A record that exists already, apart from that entry, is not added again.
    """
    there = read(folder)
    kept = [next((old for old in there if same(old, record)), record | {LATER: evaluated}) for record in records]
    if new := [record for record in kept if record not in there]:
        folder.write_json(FILE, there + new)
    return kept


def has_new(kept: Sequence[Record], evaluated: Record) -> bool:
    """Return whether any of the records was added by this evaluation."""
    return any(record.get(LATER) == evaluated for record in kept)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two results are equal apart from their entry LATER."""
    texts = [json.dumps({name: each[name] for name in each if name != LATER}, sort_keys=True) for each in (one, other)]
    return texts[0] == texts[1]


def setting_of(env: DictConfig, options: Mapping[str, Any] | None = None) -> Record:
    """Return the fields SETTING of a record. options: the environment's options that differ from the run's own, by name."""
    return {"env": env.id, "task": env.get("task"), "prompt": env.get("prompt"), "options": dict(options or {})}


def of_setting(records: Sequence[Record], setting: Record) -> list[Record]:
    """Return the records with the setting's environment, task, prompt and options."""
    return [record for record in records if _key(record, SETTING) == _key(setting, SETTING)]


def by_setting(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each setting, in the order in which the settings first appear."""
    settings = {_key(record, SETTING): record for record in records}
    return [of_setting(records, setting) for setting in settings.values()]


def own_return(folder: RunFolder, env: DictConfig) -> float:
    """Return the sampled policy's mean discounted return at the end, by the run's own evaluation; nan without one."""
    found = [record for record in of_setting(read(folder), setting_of(env)) if LATER not in record]
    after = [record for record in found if (record["when"], record["mode"]) == ("after", "sampled")]
    return float(after[-1]["return_mean"]) if after else float("nan")


def _key(record: Record, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(json.dumps(record.get(name) or None, sort_keys=True) for name in names)
