"""src/export.py on short runs of a tiny model: its folders load with plain PEFT and transformers, and nothing is overwritten."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from checkout import ROOT, environment
from evaluation_tools import composed
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

import twosome
from twosome.errors import UserError
from twosome.experiment.export import run as export
from twosome.language.loading import ModelConfig, load_language_model

SMALL = ("algorithm.num_envs=4", "algorithm.num_steps=8", "total_steps=64", "algorithm.learning_rate=0.05",
         "evaluation.episodes=2",
         "evaluation.gif=false", "retention.drift=false", "env.kwargs.max_primitive_steps=20")  # fmt: skip
PROMPT, ACTIONS = "You notice a tomato. You should first", ("pick up the tomato", "take the bowl")
PUSHER = """
import os, sys
from pathlib import Path
from local_hub import TOKEN, local_hub

folder, to, *words = sys.argv[1:]
with local_hub(Path(folder)) as address:
    os.environ |= {"HF_ENDPOINT": address, "HF_TOKEN": TOKEN}  # before huggingface_hub is imported, which reads them once
    from evaluation_tools import composed
    from twosome.experiment.export import run
    run(composed("export", f"to={to}", *words))
    exec((Path(to) / "README.md").read_text().split("```python\\n")[1].split("```")[0])
    print(type(model).__name__, any(weight.any() for name, weight in model.named_parameters() if "lora_B" in name))
"""


def saved(folder: Path, architecture: str = "llama") -> Path:
    """A tiny model as anybody would have it: a folder of transformers, with a card that names its licence."""
    lm = load_language_model(ModelConfig(source="tiny_random", architecture=architecture))
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: bsd-3-clause\n---\n# tiny\n")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "base")


def trained_on(base: Path, folder: Path, *words: str) -> Path:
    return twosome.run("model=hf", f"model.path={base}", *SMALL, *words, folder=folder).folder


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory) -> Path:
    return trained_on(base, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def adapter(trained, tmp_path_factory) -> Path:
    """An exported adapter."""
    return exported(trained, tmp_path_factory.mktemp("exports") / "adapter")


def exported(folder: Path, to: Path, *words: str) -> Path:
    export(composed("export", f"run={folder}", f"to={to}", *words))
    return to


def loaded(folder: Path) -> dict:
    """What the lines of the card define, when they are executed."""
    card = (folder / "README.md").read_text()
    lines = card.split("```python\n")[1].split("```")[0]
    assert len(lines.splitlines()) <= 5
    found: dict = {}
    exec(lines, found)
    return found


@torch.no_grad()
def plain_logprobs(found: dict) -> list[float]:
    """log P(action | prompt) by transformers alone."""
    model, tokenizer = found["model"].eval(), found["tokenizer"]
    sums = []
    for action in ACTIONS:
        prompt, whole = (tokenizer(text)["input_ids"] for text in (PROMPT, f"{PROMPT} {action}"))
        logits = model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
        sums.append(sum(float(logits[place - 1, whole[place]]) for place in range(len(prompt), len(whole))))
    return sums


def suite_logprobs(folder: Path) -> list[float]:
    """The same by the suite's engine, with the run's trained weights."""
    agent = twosome.load_agent(folder).policy
    return agent.engine.score([(PROMPT, ACTIONS)]).logprobs[0].tolist()


def test_plain_peft_loads_the_adapter_by_the_lines_of_its_card(trained, adapter, base):
    found = loaded(adapter)
    assert type(found["model"]).__name__ == "PeftModelForCausalLM"
    assert plain_logprobs(found) == pytest.approx(suite_logprobs(trained), abs=1e-4)
    with found["model"].disable_adapter():
        assert plain_logprobs(found) != pytest.approx(suite_logprobs(trained), abs=1e-3)


def test_plain_transformers_loads_the_merged_model(trained, tmp_path):
    merged = exported(trained, tmp_path / "merged", "merged=true")
    found = loaded(merged)
    assert type(found["model"]).__name__ == "LlamaForCausalLM"
    assert found["model"].dtype == torch.float32
    assert plain_logprobs(found) == pytest.approx(suite_logprobs(trained), abs=1e-4)
    assert not (merged / "adapter_config.json").exists()
    assert yaml.safe_load((merged / "README.md").read_text().split("---\n")[1])["library_name"] == "transformers"


def test_texts_of_a_strangers_folder_are_no_markdown_in_its_card(trained, tmp_path):
    text = "[a](http://b.c) ![](d) <b>*e*</b> `f` | \x1b[31m\n\n# g\n"
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    provenance = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(provenance | {"method": text}))
    record, *others = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps([record | {"task": text}, record | {"when": text}, *others]))
    body = (exported(folder, tmp_path / "out") / "README.md").read_text().split("---\n", 2)[2]
    tokens = [
        inner for each in MarkdownIt("gfm-like", {"linkify": False}).parse(body) for inner in (each, *(each.children or ()))
    ]
    kinds = [token.type for token in tokens]
    assert not {"image", "html_inline", "html_block", "em_open", "strong_open"} & set(kinds)
    assert kinds.count("link_open") == 1  # the paper's
    assert [token.tag for token in tokens if token.type == "heading_open"].count("h1") == 1
    assert "\x1b" not in body


def test_all_weights_are_a_merged_model(base, tmp_path):
    run = trained_on(base, tmp_path / "run", "tuning=full")
    with pytest.raises(UserError, match="merged=false: this run trained all weights"):
        exported(run, tmp_path / "out")
    found = loaded(exported(run, tmp_path / "out", "merged=true"))
    assert plain_logprobs(found) == pytest.approx(suite_logprobs(run), abs=1e-4)
    assert tags(tmp_path / "out") == ("text-generation", ["reinforcement-learning", "twosome", "Overcooked-v0"])


def tags(folder: Path) -> tuple[str, list[str]]:
    """What the card of an exported folder says of the model's kind."""
    card = ModelCard.load(folder / "README.md")
    return card.data.pipeline_tag, card.data.tags


def test_the_card_says_what_the_run_measured(trained, adapter):
    card = ModelCard.load(adapter / "README.md")
    assert card.data.library_name == "peft"
    assert tags(adapter) == ("text-generation", ["reinforcement-learning", "twosome", "lora", "Overcooked-v0"])
    assert card.data.license == "bsd-3-clause"
    assert card.data.base_model is None  # a folder here, which is no name on a hub
    sampled = [each for each in json.loads((trained / "evaluation.json").read_text()) if each["mode"] == "sampled"]
    for each in sampled:
        row = f"| tomato_salad | {each['when']} | 2 | {each['success_rate']:.2f} | {each['return_mean']:.4f} "
        assert row in card.text
    assert "64 decisions" in card.text


def test_an_exported_adapter_is_a_run_for_the_other_commands(trained, adapter, tmp_path):
    copy = shutil.copytree(adapter, tmp_path / "copy")
    decision = twosome.Decision.from_step(*twosome.load_agent(trained).make_env().reset(seed=3))
    ours, theirs = (twosome.load_agent(folder).probabilities(decision) for folder in (trained, copy))
    assert ours.tolist() == theirs.tolist()
    before = json.loads((copy / "evaluation.json").read_text())
    assert twosome.evaluate(copy, "episodes=2").records == before  # the same episodes again
    again = exported(copy, tmp_path / "again")
    assert (again / "adapter_model.safetensors").read_bytes() == (adapter / "adapter_model.safetensors").read_bytes()
    assert "64 decisions" in (again / "README.md").read_text()


@pytest.mark.parametrize("place", ["other", "file", "link", "run"])
def test_what_is_there_is_not_overwritten(place, trained, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(ROOT / "LICENSE", tmp_path / "other" / "adapter_config.json")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    shutil.copytree(trained, tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="expected a folder that is new or empty; name another"):
        exported(tmp_path / "run", tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_it_is_pushed_to_a_hub_and_loads_from_there(trained, tmp_path):
    ours = {name: value for name, value in environment().items() if not name.startswith("HF_")}
    paths = f"{ROOT / 'src'}:{ROOT / 'tests'}:{ROOT / 'tests/language'}"
    ours |= {"HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": paths}
    hub, to = tmp_path / "hub", tmp_path / "adapter"
    hub.mkdir()
    words = [hub, to, f"run={trained}", "push=me/tomato-salad"]
    done = subprocess.run([sys.executable, "-c", PUSHER, *words], env=ours, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    files = {file.name: file.read_bytes() for file in (hub / "me" / "tomato-salad").iterdir()}
    assert files == {file.name: file.read_bytes() for file in to.iterdir()}
    assert "pushed to http://127.0.0.1:" in done.stdout
    assert done.stdout.splitlines()[-1] == "PeftModelForCausalLM True"
