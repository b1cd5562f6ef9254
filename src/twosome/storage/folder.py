"""A run's folder on disk, the public format that analysis reads. Files are written atomically; rows are appended to tables."""

import contextlib
import csv
import io
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from twosome.errors import RunError, UserError
from twosome.files import check_folder, sha256, write_atomic

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder: no other process that asks for it gets it. Of a run on several processes, the first one asks.

    The lock is the operating system's (flock), which ends with its process however that dies. On entry, parts of files that a
    killed process left are removed. Raises UserError if another process has the folder.
    """
    file = folder / LOCK
    lock = FileLock(file, timeout=0.2)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"run folder {folder}: in use by {file.read_text().strip() or 'another process'}; expected a folder that no other "
            "process works in"
        ) from None
    try:
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        for part in (*folder.glob(".*.part"), *folder.glob("*/.*.part")):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
        yield
    finally:
        file.unlink(missing_ok=True)  # still locked, so nobody else's
        lock.release()


class Table:
    """A CSV file to which sets of rows are appended, with one write per set. Memory and time do not grow with the table.

    A set that cannot be written completely is removed again. A partial row of a killed process is not counted when the file is
    opened next, and the next `truncate` removes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = sum(line.endswith(b"\n") for line in path.open("rb")) if path.exists() else 0

    def __len__(self) -> int:
        """Return the number of rows, without the header."""
        return max(0, self.lines - 1)

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows. The first row of the table names its columns.

        Raises RunError: another row has other columns. Their order may differ.
        """
        written = list(rows)
        if not written:
            return
        columns = self._columns() or list(written[0])
        lines = [] if self.lines else [_line(columns)]
        for row in written:
            if row.keys() != set(columns):
                raise RunError(
                    f"{self.path}: a row has other columns than the first one: {', '.join(sorted(row.keys() ^ set(columns)))}; "
                    "an algorithm returns the same metrics in every update"
                )
            lines.append(_line(row[column] for column in columns))
        self._append("".join(lines).encode())
        self.lines += len(lines)

    def _columns(self) -> list[str]:
        """Return the names in the header; none if there is no header."""
        if not self.lines:
            return []
        with self.path.open(newline="") as file:
            return next(csv.reader(file))

    def truncate(self, rows: int) -> None:
        """Remove all rows after the first ``rows``."""
        self.lines = min(self.lines, rows + 1) if rows else 0
        if self.lines:
            with self.path.open("r+b") as file:
                file.truncate(sum(len(file.readline()) for _ in range(self.lines)))
        else:
            self.path.unlink(missing_ok=True)

    def _append(self, content: bytes) -> None:
        whole = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:  # a full disk, Ctrl-C
            with contextlib.suppress(OSError):
                os.truncate(self.path, whole) if whole else self.path.unlink(missing_ok=True)
            raise


def _line(values: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


class Exported(Protocol):
    """The part of an agent's interface that a run's folder uses; see `twosome.agents.agent.Agent`."""

    export_folder: str | None

    def export(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...

    def provenance(self) -> dict[str, Any]: ...


RESULTS = (
    *("config.yaml", "overrides.yaml", "choices.json", "provenance.json"),
    *("metrics.csv", "episodes.csv", "evaluation.json", "retention.json", "retention.csv", "DONE"),
)
"""The small files of a run, from which figures and tables are made."""

BEGINNING = ("choices.json", "overrides.yaml")
"""The files that a run writes before config.yaml, with which it begins."""
CHECKSUMS = "export_checksums"
"""The entry of provenance.json that holds `RunFolder.checksums`."""
TAKEN = "taken"
"""The entry of provenance.json in a folder that src/export.py wrote, which holds the trained weights
itself."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. Its files are listed in docs/run-folder.md."""

    path: Path

    def opened(self) -> "RunFolder":
        """Return this folder, once it is known to hold a run, and files and folders only. Raises UserError."""
        if not self.started:
            raise UserError(f"run folder {self.path}: expected a config.yaml in it; name the folder of a run")
        check_folder(self.path)
        return self

    @property
    def config(self) -> DictConfig:
        """The run's resolved configuration."""
        config: DictConfig = OmegaConf.create(yaml.safe_load((self.path / "config.yaml").read_text()))  # type: ignore[assignment]
        return config

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def saved_updates(self) -> list[Path]:
        """The checkpoints, the newest first."""
        return sorted(self.checkpoints.glob("update=*.ckpt"), key=lambda path: (len(path.name), path.name), reverse=True)

    @property
    def started(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / "config.yaml").is_file()

    @property
    def done(self) -> bool:
        """Whether the run is finished."""
        return (self.path / "DONE").exists()

    def check_new(self) -> None:
        """Raise UserError if a new run would find anything in the folder but what a run leaves that was killed as it began."""
        found = {path.name for path in self.path.iterdir()} - {LOCK, *BEGINNING}
        if found:
            where = f"run folder {self.path}"
            raise UserError(f"{where}: expected a folder that is new, empty or this run's own; there is {min(found)} in it")

    def start(self, config: DictConfig, overrides: list[str], choices: dict[str, Any]) -> None:
        """Begin a new run. choices: the name chosen in each group of the configuration."""
        own = {group: choice for group, choice in choices.items() if not group.startswith("hydra")}
        self.write_json("choices.json", own)
        write_atomic(self.path / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))
        write_atomic(self.path / "config.yaml", OmegaConf.to_yaml(config, resolve=True))

    def export(self, agent: Exported) -> None:
        """Write the agent's export into the folder that it names, atomically."""
        if agent.export_folder is None:
            return
        self.path.stat()  # raises FileNotFoundError if it was renamed or removed: agents make the folders that they need
        part, final = self.path / ".export.part", self.path / agent.export_folder
        shutil.rmtree(part, ignore_errors=True)
        try:
            agent.export(part)
            shutil.rmtree(final, ignore_errors=True)
            part.replace(final)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def load(self, agent: Exported) -> None:
        """Load the agent's export.

        Raises UserError if there is none, if it is another agent's, or if its checksums differ from those in provenance.json.
        """
        self.check_model(agent)
        if agent.export_folder is None:
            return
        recorded, now = self.read_json("provenance.json", {}).get(CHECKSUMS, {}), self.checksums(agent)
        if not now or any(now.get(name) != recorded[name] for name in recorded):
            where = f"run folder {self.path}: its {agent.export_folder}/ has other weights"
            raise UserError(f"{where}, expected those whose checksums are in provenance.json")
        agent.load(self.weights(agent.export_folder))

    def weights(self, export_folder: str) -> Path:
        """Return the folder of the trained weights: export_folder within a run's folder, or itself if src/export.py wrote it."""
        return self.path if TAKEN in self.read_json("provenance.json", {}) else self.path / export_folder

    def checksums(self, agent: Exported) -> dict[str, str]:
        """Return the sha256 (hex) of each exported file of weights, by its path within the run's folder."""
        if agent.export_folder is None:
            return {}
        files = sorted(self.weights(agent.export_folder).glob("*.safetensors"))
        return {str(file.relative_to(self.path)): sha256(file) for file in files}

    def check_model(self, agent: Exported) -> None:
        """Raise UserError if the agent's language model is not the one that the run began with, by its checksum.

        A run that is not finished needs the same dtype as well: model.dtype=auto depends on the CPU.
        """
        began, found = self.read_json("provenance.json", {}), agent.provenance()
        checks = [("model_checksum", "has the sha256", "the run needs the weights that it began with")]
        if not self.done:
            remedy = "model.dtype=auto depends on the CPU: resume the run on one like that which it began on"
            checks.append(("model_dtype", "computes in", remedy))
        for name, meaning, remedy in checks:
            recorded = began.get(name, found.get(name))
            if found.get(name) != recorded:
                raise UserError(
                    f"run folder {self.path}: {found.get('model') or 'this agent'} {meaning} {found.get(name)}, expected "
                    f"{recorded} as in provenance.json; {remedy}"
                )

    def table(self, name: str) -> Table:
        """Return a table of the folder, such as metrics.csv."""
        return Table(self.path / name)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file, atomically."""
        write_atomic(self.path / name, json.dumps(content, indent=2) + "\n")

    def read_json(self, name: str, default: Any) -> Any:
        """Read a JSON file; return default if there is no such file."""
        file = self.path / name
        return json.loads(file.read_text()) if file.exists() else default

    def copy_results(self, to: Path, names: Iterable[str] = RESULTS) -> None:
        """Copy small files of a finished run into another folder, as far as they exist. names: all of RESULTS or some."""
        for file in names:
            if (self.path / file).exists():
                write_atomic(to / file, (self.path / file).read_bytes(), parents=True)

    def copy_labelled(self, to: Path, label: str | None) -> None:
        """Copy RESULTS into another folder. label: of the copy; None: the method's name.

        A run that several experiments have in common has the label of the one that trained it; each copy has its own.
        """
        self.copy_results(to)
        origin = self.read_json("provenance.json", {})
        RunFolder(to).write_json("provenance.json", origin | {"label": label or origin["method"]})

    def finish(self) -> None:
        """Mark the run as finished."""
        write_atomic(self.path / "DONE", "")
