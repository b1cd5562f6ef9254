"""Read the configurations of runs by earlier versions of the suite."""

from collections.abc import Mapping
from typing import Any

TARGETS = {
    "twosome.language.engines.DecoderOnly": "twosome.language.engines.Auto",
    "twosome.language.engines.EncoderDecoder": "twosome.language.engines.Auto",
}
"""Import paths that have changed."""
MOVED = {
    ("model", "lora"): ("tuning", "twosome.language.lora.Lora"),
    ("baseline", "critic"): ("value_head", "twosome.policies.heads.Frozen"),
    ("baseline", "engine"): ("engine", "twosome.language.engines.Auto"),
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
        for group in ("baseline", "affordance", "engine"):
            options = place.get(group) if isinstance(place, dict) else None
            path = options.get("_target_") if isinstance(options, Mapping) else None
            if isinstance(path, str) and path in TARGETS:
                place[group] = {**options, "_target_": TARGETS[path]}
    new.setdefault("label", None)
    return new
