"""Export what a finished run has learned: an adapter in PEFT's format or a merged model, with a model card, and push it."""

import json
import re
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from typing import Any

import pandas as pd
from huggingface_hub import HfApi, ModelCard, ModelCardData
from omegaconf import DictConfig

from twosome import build
from twosome.config import own_settings
from twosome.errors import UserError, check, visible
from twosome.evaluation import records
from twosome.experiment.evaluate import configuration
from twosome.experiment.resume import finished_run
from twosome.identity import task_of
from twosome.storage.folder import CHECKSUMS, RESULTS, TAKEN, RunFolder

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
KEPT = [name for name in RESULTS if name not in ("metrics.csv", "episodes.csv", "provenance.json")]
"""The files of a run that its exported adapter has, too: they describe the run and its evaluations."""
LICENSES = {"smollm2": "apache-2.0", "tiny_random": "mit"}  # of models that come with the suite, by model.source
LOADERS = {  # how a program loads an adapter (False) or a merged model, without the suite
    False: """\
from peft import PeftModel
from transformers import {auto}, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({base})
base = {auto}.from_pretrained({base})
model = PeftModel.from_pretrained(base, {place})
""",
    True: """\
from transformers import {auto}, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({place})
model = {auto}.from_pretrained({place})
""",
}
CARD = """\
---
{data}
---

# {task}: {name}

{what} of {base}, trained by reinforcement learning with [TWOSOME](https://arxiv.org/abs/2401.14151)'s suite in the environment
{env}, task {task}: method {method}, seed {seed}, {steps:,} decisions. A prompt describes the situation and offers actions as
texts; the policy is the softmax over log P(action | prompt), divided by the norm {norm}. {about}

## Results

{results}

## How to load it

```python
{loader}```
"""


@dataclass
class ExportConfig:
    """The options of conf/export.yaml; device and env: how a run's agent is loaded."""

    run: str
    to: str
    merged: bool
    push: str | None
    license: str | None
    note: str | None
    trust: bool
    device: str = "cpu"
    env: dict[str, Any] = field(default_factory=dict)


def run(asked: DictConfig) -> None:
    """Write the folder, and push it if that is asked for. Raises UserError for bad input before that."""
    options = own_settings(ExportConfig, asked)
    to = Path(options.to)
    export(finished_run(options.run), to, options)
    if options.push:
        HfApi().create_repo(options.push, exist_ok=True)
        done = HfApi().upload_folder(repo_id=options.push, folder_path=to, commit_message=f"Upload {to.name}")
        print(f"pushed to {done.commit_url.partition('/commit/')[0]}")


def export(folder: RunFolder, to: Path, options: ExportConfig) -> None:
    """Export a run. Raises UserError."""
    adapter = folder.weights("adapter")
    is_adapter = all((adapter / name).is_file() for name in ADAPTER_FILES)
    if not is_adapter and not any(folder.weights("model").glob("*.safetensors")):
        raise UserError(f"run={folder.path}: expected a run that trained a language model; this one has no adapter/")
    if not is_adapter and not options.merged:
        raise UserError("merged=false: this run trained all weights, so there is no adapter; expected merged=true")
    new = not to.exists() or (to.is_dir() and not any(to.iterdir()))
    check(new and not to.is_symlink(), "to", to, "a folder that is new or empty; name another")
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as scratch:  # the folder is written completely or not
        part = Path(scratch) / "export"
        part.mkdir()
        if options.merged:
            base = _merge(folder, part, options)
        else:
            for name in ADAPTER_FILES:
                copyfile(adapter / name, part / name)
            folder.copy_results(part, KEPT)
            base = str(json.loads((part / "adapter_config.json").read_text())["base_model_name_or_path"])
        steps, updates = trained_for(folder)
        taken = {"run": folder.path.resolve().name, "env_steps": steps, "updates": updates, "merged": options.merged}
        provenance = {name: value for name, value in folder.read_json("provenance.json", {}).items() if name != CHECKSUMS}
        RunFolder(part).write_json("provenance.json", provenance | {TAKEN: taken})
        license = options.license or _license(folder.config.model)
        card = _card(folder, options.push or str(to), base, license, options)
        (part / "README.md").write_text(card, encoding="utf-8")
        part.replace(to)
    print(visible(f"{to}: {', '.join(sorted(file.name for file in to.iterdir()))}"))


def _merge(folder: RunFolder, part: Path, options: ExportConfig) -> str:
    """Write the trained model, in float32, and its tokenizer, in transformers' format; return the base model's name."""
    config = configuration(folder, options)
    # As transformers computes it: without the suite's packed layers and its attention, which depend on the machine.
    config.model.packed_weights, config.model.dtype, config.model.attn_implementation = False, "float32", "eager"
    agent = build.agent(config, build.environment(config.env))
    folder.load(agent)
    model = agent.language_model
    assert model is not None  # there are weights of one
    model.tuning.merged(model.model).save_pretrained(part)
    for file in part.glob("*.safetensors"):  # which only their owner may read
        file.chmod(0o666 & part.stat().st_mode)
    model.tokenizer.save_pretrained(part)
    return model.name


def _license(model: DictConfig) -> str:
    """Return the licence of the model that a configuration names, as its own card says; "unknown", with a note, without one."""
    if model.source in LICENSES:
        return LICENSES[model.source]
    file, found = Path(str(model.path)).expanduser() / "README.md", None
    with suppress(OSError, ValueError):  # no card, or no connection
        found = ModelCard.load(file if file.is_file() else str(model.path)).data.license
    if found is None:
        print(visible(f"note: the licence of {model.path} was not found; license=<identifier> names it"), file=sys.stderr)
    return found or "unknown"


def _card(folder: RunFolder, place: str, base: str, license: str, options: ExportConfig) -> str:
    """Return the model card: metadata in YAML, then Markdown. place: the folder or hub name from which the card loads it."""
    merged = options.merged
    config, provenance, (steps, _) = folder.config, folder.read_json("provenance.json", {}), trained_for(folder)
    env, seq2seq, found = config.env, bool(provenance.get("encoder_decoder")), records.read(folder)
    auto = f"AutoModelFor{'Seq2SeqLM' if seq2seq else 'CausalLM'}"
    data = ModelCardData(
        base_model=base if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and not Path(base).is_dir() else None,
        library_name="transformers" if merged else "peft",
        license=license,
        language="en",
        pipeline_tag="text2text-generation" if seq2seq else "text-generation",
        tags=["reinforcement-learning", "twosome", *([] if merged else ["lora"]), str(env.id).rpartition("/")[2]],
    )
    return CARD.format(
        data=data.to_yaml(),
        task=_plain(task_of(env)),
        name=_plain(base.rpartition("/")[2]),
        what="A whole model" if merged else "A LoRA adapter",
        base=_plain(base),
        env=_plain(env.id),
        method=_plain(provenance.get("method")),
        seed=_plain(config.seed),
        steps=steps,
        norm=_plain(norm_of(config)),
        about=options.note or "",
        results=_results(found) if found else "Not measured: the run was not evaluated.",
        loader=LOADERS[merged].format(base=json.dumps(base), place=json.dumps(place), auto=auto),
    )


def _results(found: list[records.Record]) -> str:
    """Return the sampled policy's records as a table in Markdown; of equal tasks and stages the first, the run's own."""
    kept: dict[tuple[str, str], list[str]] = {}
    for record in found:
        if record["mode"] == "sampled":
            task, when = _plain(task_of(record | {"id": record["env"]})), _plain(record["when"])
            spread = f"{record['return_mean']:.4f} ± {record['return_std']:.4f}"
            kept.setdefault((task, when), [task, when, f"{record['episodes']:,}", f"{record['success_rate']:.2f}", spread])
    columns = ["task", "training", "episodes", "success", "discounted return"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, ["---"] * len(columns), *kept.values()])


def _plain(value: Any) -> str:
    """Return a value of a run's files as text of one line, in which nothing is Markdown."""
    return re.sub(r"([\\`*\[\]<>|~&#$@]|(?<!\w)_|_(?!\w)|:(?=//))", r"\\\1", visible(" ".join(str(value).split())))


def norm_of(config: DictConfig) -> str:
    """Return the name of a configuration's norm."""
    return str(config.norm.get("_target_")).rpartition(".")[2]


def trained_for(folder: RunFolder) -> tuple[int, int]:
    """Return the environment steps and updates of a run, by the last row of metrics.csv; zeros without one."""
    taken = folder.read_json("provenance.json", {}).get(TAKEN, {})
    if "env_steps" in taken:
        return int(taken["env_steps"]), int(taken["updates"])
    file = folder.path / "metrics.csv"
    if not file.is_file():
        return 0, 0
    last = pd.read_csv(file, usecols=["env_steps", "update"]).iloc[-1]
    return int(last["env_steps"]), int(last["update"])
