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
from twosome.language.loading import ModelConfig, load_language_model
from twosome.runs.export import run as export

SMALL = ("algorithm.num_envs=4", "algorithm.num_steps=8", "total_steps=64", "algorithm.learning_rate=0.05",
         "evaluation.episodes=2",
         "evaluation.gif=false", "retention.drift=false", "env.kwargs.max_primitive_steps=20")  # fmt: skip
PROMPT, ACTIONS = "You notice a tomato. You should first", ("pick up the tomato", "take the bowl")
PUSHER = """
import os, shutil, sys
from pathlib import Path
from local_hub import TOKEN, local_hub

folder, to, *words = sys.argv[1:]
with local_hub(Path(folder)) as address:
    os.environ["HF_ENDPOINT"] = address  # before huggingface_hub is imported, which reads it once
    from evaluation_tools import composed
    from twosome.errors import RunError
    from twosome.runs.export import run
    try:
        run(composed("export", f"to={to}", *words))
    except RunError as error:
        print(error)
    os.environ["HF_TOKEN"] = TOKEN
    shutil.rmtree(to)
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
    (folder / "provenance.json").write_text(json.dumps(provenance | {"method": text, "git_commit": text}))
    (folder / "overrides.yaml").write_text(yaml.safe_dump([text]))
    record, *others = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps([record | {"task": text}, record | {"mode": text}, *others]))
    body = (exported(folder, tmp_path / "out") / "README.md").read_text().split("---\n", 2)[2]
    tokens = [
        inner for each in MarkdownIt("gfm-like", {"linkify": False}).parse(body) for inner in (each, *(each.children or ()))
    ]
    kinds = {token.type for token in tokens}
    assert {"code_inline", "td_open", "text"} <= kinds
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "em_open", "strong_open"}
    assert [token.tag for token in tokens if token.type == "heading_open"].count("h1") == 1
    assert "\x1b" not in body


def test_all_weights_are_a_merged_model(base, tmp_path):
    run = trained_on(base, tmp_path / "run", "tuning=full")
    with pytest.raises(UserError, match="merged=false: this run trained all weights"):
        exported(run, tmp_path / "out")
    found = loaded(exported(run, tmp_path / "out", "merged=true"))
    assert plain_logprobs(found) == pytest.approx(suite_logprobs(run), abs=1e-4)
    assert tags(tmp_path / "out") == ("text-generation", ["reinforcement-learning", "twosome", "Overcooked-v0"])


def test_the_card_of_an_encoder_decoder_model_names_its_kind(tmp_path):
    base, words = saved(tmp_path / "t5", "t5"), ("tuning=full", "value_head=state")
    run = trained_on(base, tmp_path / "run", *words, "total_steps=32", "evaluation.episodes=0")
    found = loaded(exported(run, tmp_path / "out", "merged=true"))
    assert type(found["model"]).__name__ == "T5ForConditionalGeneration"
    assert tags(tmp_path / "out") == ("text2text-generation", ["reinforcement-learning", "twosome", "Overcooked-v0"])


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
    records = json.loads((trained / "evaluation.json").read_text())
    (sampled,) = [record for record in records if (record["when"], record["mode"]) == ("after", "sampled")]
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found == {"success_rate": sampled["success_rate"], "return_mean": sampled["return_mean"]}
    for record in records:
        assert f"| {record['when']} | {record['mode']} | 2 | {record['success_rate']:.2f} [" in card.text
    assert "64 in 2 updates" in card.text
    assert card.text.count("Not measured.") == 2


def test_the_card_says_what_was_forgotten_and_what_unseen_tasks_gave(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    twosome.evaluate(run, "suite=unseen", "episodes=1")
    paired = {"items": 40, "before": 0.5, "after": 0.25, "difference": -0.25, "p_value": 0.01, "no_loss_above": 0.3}
    drift = {"tokens": 1234, "perplexity_ratio": 1.5, "perplexity_ratio_interval": [1.4, 1.6], "kl": 0.2, "top1_agreement": 0.75}
    later = [{"benchmarks": {"piqa": {"metrics": {"acc": {**paired, "items": 77}}}}}]
    (run / "retention.json").write_text(json.dumps({"drift": drift | {"acc": paired}, "later": later}))
    text = (exported(run, tmp_path / "out") / "README.md").read_text()
    assert "(1,234 tokens): perplexity x 1.500 [1.400, 1.600]" in text
    assert "- 40 questions: accuracy 0.500 before, 0.250 after; accuracy lost: 0.250." in text
    assert "- piqa, acc, 77 items: 0.500 before" in text
    for when in ("random", "before", "after"):
        assert f"| lettuce_salad | {when} | sampled | 1 | " in text
    assert "Not measured" not in text


def test_an_exported_adapter_is_a_run_for_the_other_commands(trained, adapter, tmp_path):
    copy = shutil.copytree(adapter, tmp_path / "copy")
    decision = twosome.Decision.from_step(*twosome.load_agent(trained).make_env().reset(seed=3))
    ours, theirs = (twosome.load_agent(folder).probabilities(decision) for folder in (trained, copy))
    assert ours.tolist() == theirs.tolist()
    before = json.loads((copy / "evaluation.json").read_text())
    assert twosome.evaluate(copy, "episodes=2").records == before  # the same episodes again
    again = exported(copy, tmp_path / "again")
    assert (again / "adapter_model.safetensors").read_bytes() == (adapter / "adapter_model.safetensors").read_bytes()
    assert "64 in 2 updates" in (again / "README.md").read_text()


def test_a_note_and_a_licence_are_in_the_card(trained, tmp_path):
    text = (exported(trained, tmp_path / "out", "license=mit", "note=A first try.") / "README.md").read_text()
    assert "license: mit" in text
    assert "seed 0. A first try.\n" in text


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("other", "expected a folder that is new or empty; name another"),
        ("file", "expected a folder that is new or empty; name another"),
        ("link", "expected a folder that is new or empty; name another"),
        ("run", "expected another folder than the run's"),
    ],
)
def test_what_is_there_is_not_overwritten(place, message, trained, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(ROOT / "LICENSE", tmp_path / "other" / "adapter_config.json")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    shutil.copytree(trained, tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message):
        exported(tmp_path / "run", tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


def test_changed_weights_are_refused(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    weights = run / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match="it was changed or damaged since"):
        exported(run, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_run_without_a_language_model_has_nothing_to_export(tmp_path):
    run = twosome.run("baseline=random", "evaluation.episodes=1", "evaluation.gif=false", folder=tmp_path / "run").folder
    with pytest.raises(UserError, match="expected a run that trained a language model"):
        exported(run, tmp_path / "out")


def test_of_each_task_the_run_with_most_measurements_is_taken(base, trained, tmp_path):
    runs = tmp_path / "runs"
    first, second = (shutil.copytree(trained, runs / name) for name in ("first", "second"))
    twosome.evaluate(second, "suite=unseen", "episodes=1")
    records = json.loads((second / "evaluation.json").read_text())
    (second / "evaluation.json").write_text(json.dumps([record | {"return_mean": -1.0} for record in records]))
    trained_on(base, runs / "other", "env.task=lettuce_salad")
    export(composed("export", f"runs={runs}", f"to={tmp_path / 'adapters'}"))
    assert sorted(folder.name for folder in (tmp_path / "adapters").iterdir()) == ["lettuce_salad", "tomato_salad"]
    taken = json.loads((tmp_path / "adapters" / "tomato_salad" / "provenance.json").read_text())["taken"]
    assert taken["run"] == "second"  # despite its lower return
    card = (tmp_path / "adapters" / "tomato_salad" / "README.md").read_text()
    assert "Of 2 finished run(s) of this task it was chosen by the number of measurements" in card
    assert first.is_dir()


def test_it_is_pushed_to_a_hub_and_loads_from_there(trained, tmp_path):
    ours = {name: value for name, value in environment().items() if not name.startswith("HF_")}
    paths = f"{ROOT / 'src'}:{ROOT / 'tests'}:{ROOT / 'tests/language'}"
    ours |= {"HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": paths}
    hub, to = tmp_path / "hub", tmp_path / "adapter"
    hub.mkdir()
    words = [hub, to, f"run={trained}", "push=me/tomato-salad"]
    done = subprocess.run([sys.executable, "-c", PUSHER, *words], env=ours, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert "push=me/tomato-salad: the hub refused or gave no answer (Client error '401" in done.stdout
    files = {file.name: file.read_bytes() for file in (hub / "me" / "tomato-salad").iterdir()}
    assert files == {file.name: file.read_bytes() for file in to.iterdir()}
    assert "pushed to http://127.0.0.1:" in done.stdout
    assert done.stdout.splitlines()[-1] == "PeftModelForCausalLM True"
