"""Going on with a run: its own configuration, and nothing else."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from twosome.errors import UserError
from twosome.training.runfolder import RunFolder


def resumed_config(asked: DictConfig, folder: RunFolder, overrides: list[str]) -> DictConfig:
    """The folder's configuration, with ``resume`` set.

    asked: what the command line composed. overrides: its words; they may repeat what the run has, and not change it.
    Raises UserError where folder holds no run or an override differs.
    """
    config = folder.config
    choices = json.loads((folder.path / "choices.json").read_text())
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group
        if key == "resume" or key.startswith("hydra."):
            continue
        if key in choices:  # its options are compared where they are given
            old, new = choices[key], override.value()
        else:
            old, new = (_plain(OmegaConf.select(each, key)) for each in (config, asked))
        if old != new:
            raise UserError(
                f"{key}={override.value()}: expected {key}={old}, as in the run of {folder.path}; leave it out, "
                "or start a new run without resume"
            )
    config.resume = str(folder.path)
    return config


def resume_command(folder: Path) -> str:
    """What to type to go on with a run, for this interpreter, from here."""
    python = Path(sys.executable)
    python = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    name = str(folder)
    if re.search(r"[^\w./-]", name):  # Hydra wants such a value quoted
        name = "'" + name.replace("'", r"\'") + "'"
    return f"{python} src/run.py {shlex.quote(f'resume={name}')}"


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
