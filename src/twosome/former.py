"""Read the configurations of runs by earlier versions of the suite."""

from collections.abc import Mapping
from typing import Any

TARGETS = {
    "twosome.policies.bounds.random": "twosome.policies.random.build",
    "twosome.policies.bounds.optimal": "twosome.policies.optimal.build",
    "twosome.language.tuning.Lora": "twosome.language.tuning.Lora",
    "twosome.language.full.Full": "twosome.language.tuning.Full",
    "twosome.policies.success.value": "twosome.policies.learned_affordance.value",
}
"""Import paths that have changed."""
MOVED = {
    ("model", "lora"): ("tuning", "twosome.language.tuning.Lora"),
    ("baseline", "critic"): ("value_head", "twosome.policies.heads.Frozen"),
}
"""Options that have become groups of their own: the group's name and target, by the option's old place."""


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a run's configuration to this version; return one of this version unchanged.

    config: as read from config.yaml. It is not checked, and not changed in place.
    """
    new = {name: dict(value) if isinstance(value, Mapping) else value for name, value in config.items()}
    for (group, name), (choice, target) in MOVED.items():
        options: Any = new[group].get(name) if isinstance(new.get(group), dict) else None
        if isinstance(options, Mapping) and "_target_" not in options and choice not in new:
            new[choice] = {"_target_": target, **new[group].pop(name)}
    places: list[Any] = [new, new.get("baseline")]
    for place in places:
        for group in ("baseline", "affordance", "tuning"):
            options = place.get(group) if isinstance(place, dict) else None
            path = options.get("_target_") if isinstance(options, Mapping) else None
            if isinstance(path, str) and path in TARGETS:
                place[group] = {**options, "_target_": TARGETS[path]}
    new.pop("engine", None)  # it follows from the model
    if isinstance(new.get("baseline"), dict):
        new["baseline"].pop("engine", None)
    if isinstance(new.get("model"), dict):
        new["model"].pop("allow_pickle", None)
        new["model"] |= {"packed_weights": True} if new["model"].get("packed_weights") == "auto" else {}
    new.setdefault("label", None)
    return new
