"""Export what a finished run has learned: an adapter in PEFT's format or a merged model, with a model card."""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.markup import escape

from twosome import build
from twosome.config import own_settings
from twosome.errors import UserError, visible
from twosome.files import sha256, writing
from twosome.language.licence import UNKNOWN, base_license
from twosome.runs import documented
from twosome.experiment.evaluate import configuration, finished_run
from twosome.storage.folder import CHECKSUMS, RESULTS, TAKEN, RunFolder
from twosome.terminal import Console

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
KEPT = [name for name in RESULTS if name not in ("metrics.csv", "episodes.csv", "provenance.json")]
"""The files of a run that its exported adapter has, too: what describes the run and its evaluations."""
HUB_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass
class ExportConfig:
    """The options of conf/export.yaml."""

    run: str | None
    runs: str | None
    to: str | None
    merged: bool
    push: str | None
    license: str | None
    note: str | None
    trust: bool

    def __post_init__(self) -> None:
        if bool(self.run) == bool(self.runs):
            raise UserError(f"run={self.run}: expected the folder of a finished run, run=<folder>, or runs=<folder> in its place")
        if not self.to:
            raise UserError(f"to={self.to}: expected the folder to write, as in to=my_adapter")
        if self.push is not None and not HUB_NAME.fullmatch(self.push):
            raise UserError(f"push={self.push}: expected <owner>/<name> on the hub, as in push=me/tomato-salad")
        if self.push is not None and self.runs:
            raise UserError(f"push={self.push}: expected run=<folder> with it, runs= exports several; push them one by one")
        if self.merged and self.runs:
            raise UserError("merged=true: expected run=<folder> with it; runs= exports adapters; leave merged out")
        if self.note is not None and self.runs:
            raise UserError("note=...: expected run=<folder> with it; with runs= the cards say how the runs were chosen")
        if self.license is not None and not IDENTIFIER.fullmatch(self.license):
            raise UserError(f"license={self.license}: expected an identifier of huggingface.co, as in license=apache-2.0")


@dataclass
class Loading:
    """How a run's agent is loaded; see `runs.evaluate.OfRun`."""

    trust: bool
    device: str = "cpu"
    env: dict[str, Any] = field(default_factory=dict)


def run(asked: DictConfig) -> None:
    """Write the folder, or one for each task, and push it if that is asked for. Raises UserError for bad input before that."""
    options = own_settings(ExportConfig, asked)
    to = Path(str(options.to))
    if options.runs:
        for task, (folder, about) in documented.of_each_task(Path(options.runs)).items():
            export(folder, to / task, options, about)
        return
    folder = finished_run(Path(str(options.run)))
    export(folder, to, options, options.note or "")
    if options.push:
        from twosome.runs.push import push

        push(to, options.push)


def export(folder: RunFolder, to: Path, options: ExportConfig, about: str = "") -> None:
    """Export one run. about: sentences for the card on the choice of this run. Raises UserError."""
    adapter = folder.weights("adapter")
    is_adapter = all((adapter / name).is_file() for name in ADAPTER_FILES)
    if not is_adapter and not any(folder.weights("model").glob("*.safetensors")):
        raise UserError(
            f"run={folder.path}: expected a run that trained a language model, this one has no adapter/; name another"
        )
    if not is_adapter and not options.merged:
        raise UserError("merged=false: this run trained all weights, so there is no adapter; expected merged=true")
    if (inside := to.resolve()) == folder.path.resolve() or inside in folder.path.resolve().parents:
        raise UserError(f"to={to}: expected another folder than the run's; name a new one")
    if to.is_symlink() or (to.exists() and not (to.is_dir() and not any(to.iterdir()))):
        raise UserError(f"to={to}: expected a folder that is new or empty; name another")
    config = folder.config
    license_ = options.license or base_license(config.model)
    if license_ == UNKNOWN:
        note = f"note: the licence of {config.model.get('path')} was not found; license=<identifier> names it"
        print(visible(note), file=sys.stderr)
    with _part(to) as part:
        base = merge(folder, part, options.trust) if options.merged else copy_adapter(folder, part)
        from twosome.runs.card import ADAPTER, MERGED, Card, is_hub_name  # pandas and scipy take a second to import

        if options.push and not (options.merged or is_hub_name(base)):
            note = f"note: the base model, {base}, is on no hub: others need it to load the adapter; see merged=true"
            print(visible(note), file=sys.stderr)
        kind = MERGED if options.merged else ADAPTER
        card = Card(folder, kind, options.push or str(to), base, license_, about)
        (part / "README.md").write_text(card.text(), encoding="utf-8")
        RunFolder(part).write_json("provenance.json", _provenance(folder, merged=options.merged))
        part.replace(to)
    _print(to)


@contextmanager
def _part(to: Path) -> Iterator[Path]:
    """Make a folder beside the place of the export, on the same disk; remove it if the export fails."""
    to.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{to.name}.", suffix=".part", dir=to.parent))
    try:
        part.chmod(0o777 & to.parent.stat().st_mode)  # mkdtemp's is readable by its owner only
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def copy_adapter(folder: RunFolder, part: Path) -> str:
    """Copy a run's adapter and the files KEPT; return the base model's name. Raises UserError if the weights were changed."""
    adapter, recorded = folder.weights("adapter"), folder.read_json("provenance.json", {}).get(CHECKSUMS, {})
    for name in ADAPTER_FILES:
        shutil.copyfile(adapter / name, part / name)
    folder.copy_results(part, KEPT)
    now = sha256(part / "adapter_model.safetensors")
    if recorded and now not in recorded.values():
        raise UserError(
            f"{adapter / 'adapter_model.safetensors'}: its sha256 is {now}, expected one in provenance.json "
            f"({', '.join(recorded.values())}); it was changed or damaged since: copy it back"
        )
    return str(RunFolder(part).read_json("adapter_config.json", {}).get("base_model_name_or_path"))


def merge(folder: RunFolder, part: Path, trust: bool) -> str:
    """Write the trained model, in float32, and its tokenizer, in transformers' format; return the base model's name."""
    config = configuration(folder, Loading(trust))
    # As transformers computes it: without the suite's packed layers and its attention, which depend on the machine.
    config.model.packed_weights, config.model.dtype, config.model.attn_implementation = False, "float32", "eager"
    agent = build.agent(config, build.environment(config.env))
    folder.load(agent)
    model = agent.language_model
    if model is None:
        raise UserError(f"run={folder.path}: expected a run that trained a language model; name another")

    merged = model.tuning.merged(model.model)
    with writing(part.parent):
        merged.save_pretrained(part)
        model.tokenizer.save_pretrained(part)
    for file in part.iterdir():  # safetensors makes files readable by their owner only
        file.chmod(0o666 & part.stat().st_mode)
    return model.name


def _provenance(folder: RunFolder, merged: bool) -> dict[str, Any]:
    """Return the provenance of an exported folder, whose entry TAKEN names its run."""
    from twosome.runs.card_parts import trained_for

    provenance = {name: value for name, value in folder.read_json("provenance.json", {}).items() if name != TAKEN}
    checksums = {Path(name).name: value for name, value in provenance.pop(CHECKSUMS, {}).items()}
    steps, updates = trained_for(folder)
    about = {"run": folder.path.resolve().name, "env_steps": steps, "updates": updates, "merged": merged}
    return provenance | ({} if merged else {CHECKSUMS: checksums}) | {TAKEN: about}


def _print(to: Path) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(str(to))}[/bold] written")
    for file in sorted(to.iterdir()):
        console.print(f"  {escape(file.name):28} [dim]{file.stat().st_size:>13,} bytes[/dim]")
