"""The names of a run in figures and tables: its task, method and label, which are recorded when it starts."""

from collections.abc import Mapping
from typing import Any

ALGORITHMS = {"drrn": "q_learning"}
"""The algorithm of a baseline, where it is not PPO and has another name than the baseline."""
AGENT = "agent"
"""Who acts in training, in most runs."""


def task_of(env: Mapping[str, Any], choice: str | None = None) -> str:
    """Return the task's name: env.task, or else the environment's; followed by the prompt if it is not the default one.

    env: the options of the environment. choice: its name in conf/env, if known.
    """
    prompt = env.get("prompt") or "default"
    name = str(env.get("task") or choice or env["id"])
    return name if prompt == "default" else f"{name} ({prompt})"


def method_of(baseline: Mapping[str, Any], choices: Mapping[str, Any], uses_language_model: bool) -> str:
    """Return the baseline's name, followed by what distinguishes its variants.

    These are the options of the baseline that are a choice of a group (such as conf/affordance) or a word. If there are none and
    a language model acts, it is the norm. The algorithm is added if it is neither PPO nor the baseline's own, which has its name
    or is in ALGORITHMS. choices: the name chosen in each group of conf.
    """
    options = {name: value for name, value in baseline.items() if name != "_target_"}
    chosen = {name: choices.get(name, value) for name, value in options.items()}
    variant = [choice for choice in chosen.values() if isinstance(choice, str)]
    if not variant and uses_language_model:
        variant = [str(choices["norm"])]
    names = [str(choices["baseline"]), *variant]
    algorithm = str(choices.get("algorithm", "ppo"))
    return "-".join(
        names if algorithm.startswith("ppo") or algorithm == ALGORITHMS.get(names[0], names[0]) else [*names, algorithm]
    )


def identity(config: Mapping[str, Any], choices: Mapping[str, Any], uses_language_model: bool) -> dict[str, str]:
    """Return the entries task, method and label of provenance.json. The label is the option ``label``, or else the method."""
    method = method_of(config["baseline"], choices, uses_language_model)
    return {"task": task_of(config["env"], choices.get("env")), "method": method, "label": str(config.get("label") or method)}
