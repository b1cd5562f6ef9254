"""A run's folder on disk: the public format that analysis reads. Its files are written whole or not at all, its tables grow."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from twosome.errors import UserError, folded
from twosome.files import write_atomic
from twosome.former import upgraded
from twosome.plain import read_json, read_yaml
from twosome.storage.table import Table


class Exported(Protocol):
    """What of an agent is kept in a run's folder; see `twosome.policies.agent.Agent`."""

    export_folder: str | None

    def export(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...

    def provenance(self) -> dict[str, Any]: ...


RESULTS = (
    *("config.yaml", "overrides.yaml", "choices.json", "provenance.json"),
    *("metrics.csv", "episodes.csv", "evaluation.json", "retention.json", "retention.csv", "DONE"),
)
"""The small files of a run: what figures and tables are drawn from."""

CHECKSUMS = "export_checksums"
"""The entry of provenance.json that holds `RunFolder.checksums`."""


@dataclass(frozen=True)
class RunFolder:
    """Where everything of one run lies; the names of its files are the properties below."""

    path: Path

    @property
    def config(self) -> DictConfig:
        """The run's resolved configuration.

        Raises UserError where the folder holds none, or one that cannot be read.
        """
        file = self.path / "config.yaml"
        if not self.started:
            raise UserError(f"run folder {self.path}: expected a config.yaml in it; name the folder of a run")
        try:
            config = OmegaConf.create(upgraded(read_yaml(file)))
        except (OmegaConfBaseException, OSError, ValueError) as error:
            raise UserError(f"{file}: expected a readable config.yaml ({folded(error)}); name another run") from error
        for group in ("env", "norm", "baseline", "model", "trainer", "evaluation"):
            if not OmegaConf.is_dict(OmegaConf.select(config, group)):
                raise UserError(f"run folder {self.path}: its config.yaml has no {group}; name the folder of a run")
        return config

    @property
    def checkpoints(self) -> Path:
        """Folder of the resumable checkpoints."""
        return self.path / "checkpoints"

    @property
    def started(self) -> bool:
        """Whether there is a run in it."""
        return (self.path / "config.yaml").is_file()

    @property
    def done(self) -> bool:
        """Whether the run finished."""
        return (self.path / "DONE").exists()

    def start(self, config: DictConfig, overrides: list[str], choices: dict[str, Any]) -> None:
        """Claim the folder for a new run. choices: the name chosen in each group of the configuration.

        Raises UserError where somebody else did so since it was found empty.
        """
        if self.started:
            raise UserError(f"run folder {self.path}: expected a new folder; another process has just used it; name another")
        own = {group: choice for group, choice in choices.items() if not group.startswith("hydra")}
        self.write_json("choices.json", own)
        write_atomic(self.path / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))
        write_atomic(self.path / "config.yaml", OmegaConf.to_yaml(config, resolve=True))

    def export(self, agent: Exported) -> None:
        """Write the agent's export into the folder that it names; it appears whole."""
        if agent.export_folder is None:
            return
        part, final = self.path / ".export.part", self.path / agent.export_folder
        shutil.rmtree(part, ignore_errors=True)
        agent.export(part)
        shutil.rmtree(final, ignore_errors=True)
        part.replace(final)

    def load(self, agent: Exported) -> None:
        """Give the agent its export back.

        Raises UserError where there is none, or another agent's, or not the one that provenance.json has the checksums of.
        """
        self.check_model(agent)
        if agent.export_folder is None:
            return
        recorded, now = self.read_json("provenance.json", {}).get(CHECKSUMS, {}), self.checksums(agent)
        if not isinstance(recorded, dict):
            raise UserError(f"{self.path / 'provenance.json'}: expected a map at {CHECKSUMS}; copy the file back")
        for name in sorted(recorded):
            if now.get(name) != recorded[name]:
                raise UserError(
                    f"{self.path / name}: its sha256 is {now.get(name)}, expected {recorded[name]} as in provenance.json; "
                    "it was changed or damaged since: copy it back, or train the run again"
                )
        agent.load(self.path / agent.export_folder)

    def checksums(self, agent: Exported) -> dict[str, str]:
        """sha256 (hex) of the exported weights, by their names within the folder."""
        if agent.export_folder is None:
            return {}
        files = sorted((self.path / agent.export_folder).glob("*.safetensors"))
        return {str(file.relative_to(self.path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def check_model(self, agent: Exported) -> None:
        """Raises UserError where the agent's language model is not the one that the run began with, by its checksum."""
        name, found = "model_checksum", agent.provenance()
        recorded = self.read_json("provenance.json", {}).get(name, found.get(name))
        if found.get(name) != recorded:
            raise UserError(
                f"run folder {self.path}: {found.get('model')} has the sha256 {found.get(name)}, expected {recorded} as in "
                "provenance.json; the run needs the weights that it began with"
            )

    def table(self, name: str) -> Table:
        """metrics.csv or episodes.csv."""
        return Table(self.path / name)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        write_atomic(self.path / name, json.dumps(content, indent=2) + "\n")

    def read_json(self, name: str, default: Any) -> Any:
        """Read a JSON file that holds what default is, a map or a list; give default where there is none.

        Raises UserError where it cannot be read.
        """
        file = self.path / name
        try:
            return read_json(file, type(default)) if file.exists() else default
        except (ValueError, OSError) as error:
            raise UserError(f"{file}: expected readable JSON ({folded(error)}); copy it back, or run it again") from error

    def copy_results(self, to: Path) -> None:
        """Copy what figures and tables need of a finished run into another folder."""
        for file in RESULTS:
            if (self.path / file).exists():
                write_atomic(to / file, (self.path / file).read_bytes())

    def finish(self) -> None:
        """Mark the run as finished."""
        write_atomic(self.path / "DONE", "")
