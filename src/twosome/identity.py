"""What a run is in figures and tables: its task, its method and its label. A run records the three when it starts."""

from collections.abc import Mapping
from typing import Any


def task_of(env: Mapping[str, Any], choice: str | None = None) -> str:
    """The task's name: env.task, or else the environment's; followed by the prompt where it is not the default one.

    env: the options of the environment. choice: its name in conf/env, where that is known.
    """
    prompt = env.get("prompt") or "default"
    name = str(env.get("task") or choice or env["id"])
    return name if prompt == "default" else f"{name} ({prompt})"


def method_of(baseline: Mapping[str, Any], choices: Mapping[str, Any], speaks: bool) -> str:
    """The baseline's name and what distinguishes its variants.

    That are the options of the baseline that are a choice in a group of the same name (conf/affordance, say) or else a word;
    where there is none and a language model acts (speaks), the norm. The algorithm is added where it is not PPO, nor the one
    that the baseline is named after. choices: the name chosen in each group of conf.
    """
    options = {name: value for name, value in baseline.items() if name != "_target_"}
    chosen = {name: choices.get(name, value) for name, value in options.items()}
    variant = [choice for choice in chosen.values() if isinstance(choice, str)]
    if not variant and speaks:
        variant = [str(choices["norm"])]
    names = [str(choices["baseline"]), *variant]
    algorithm = str(choices.get("algorithm", "ppo"))
    return "-".join(names if algorithm in ("ppo", names[0]) else [*names, algorithm])


def identity(config: Mapping[str, Any], choices: Mapping[str, Any], speaks: bool) -> dict[str, str]:
    """The entries task, method and label of provenance.json. The label is the option ``label``, or else the method."""
    method = method_of(config["baseline"], choices, speaks)
    return {"task": task_of(config["env"], choices.get("env")), "method": method, "label": str(config.get("label") or method)}
