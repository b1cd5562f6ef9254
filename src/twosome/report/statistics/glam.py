"""The records of GLAM's tests of generalisation, which src/evaluate.py writes with suite=glam."""

import json
from collections.abc import Mapping
from typing import Any

from twosome.report.data.run import Run


def record(run: Run, setting: Mapping[str, Any], when: str) -> dict[str, Any] | None:
    """Return the record that counts of sampled actions in a setting of the run's environment; None without one.

    setting: what of task, prompt and options differs from the run's own. when: who plays.
    """
    env, table = run.config["env"], run.counted_evaluations
    wanted: dict[str, Any] = {"task": env.get("task") or "", "prompt": env.get("prompt") or "", "options": {}}
    wanted |= {name: setting[name] for name in wanted if name in setting}
    there = (table.env == env["id"]) & (table.task == wanted["task"]) & (table.prompt == wanted["prompt"]) & (table.when == when)
    there &= (table["mode"] == "sampled") & (table.options == json.dumps(wanted["options"], sort_keys=True))
    return {str(name): value for name, value in table[there].iloc[-1].items()} if there.any() else None
