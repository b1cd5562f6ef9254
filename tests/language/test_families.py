"""Action probabilities are those of the model's own forward pass, for families of every kind (manual/families.py)."""

import json
import sys
from pathlib import Path

import pytest
import torch
from checkout import ROOT
from evaluation_tools import script
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.insert(0, str(ROOT))
from manual.families import BEGIN, END, FAMILIES, PAGE, QUICK, row, save, table

PROMPT = "You are in a kitchen with two cutting boards. On the table you see a tomato, a lettuce and an onion. You should"
ACTIONS = ["take the bowl", "take the tomato", "chop it"]


def plain(folder: Path) -> list[float]:
    """The log-probability of each action by one row through transformers' own model and tokenizer."""
    from transformers import AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval(), AutoTokenizer.from_pretrained(folder)
    start, found = len(tokenizer(PROMPT)["input_ids"]), []
    for action in ACTIONS:
        ids = torch.tensor([tokenizer(f"{PROMPT} {action}")["input_ids"]])
        with torch.no_grad():
            logprobs = model(ids, use_cache=False).logits[0, :-1].log_softmax(dim=-1)
        found.append(float(logprobs.gather(1, ids[0, 1:, None])[start - 1 :].sum()))
    return found


@pytest.mark.parametrize("family", ["granite", "mistral", "lfm2", "mpt", "opt"])
def test_the_probe_gives_the_models_own_probabilities(family: str, tmp_path: Path) -> None:
    folder = save(family, tmp_path / family)
    words = [
        "model=hf",
        f"model.path={folder}",
        "norm=none",
        "format=json",
        f"prompt={PROMPT}",
        f"actions=[{', '.join(ACTIONS)}]",
    ]
    code, output, errors = script("probe", *words)
    assert code == 0, errors
    assert [each["logprob"] for each in json.loads(output)] == pytest.approx(plain(folder), abs=1e-3)
    assert ("engine=rows" in errors and "times as long" in errors) == (family in ("lfm2", "mpt"))


@pytest.mark.parametrize(
    "family", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name not in QUICK)]
)
def test_a_family_is_computed_right_and_as_the_page_says(family: str) -> None:
    found = row(family)
    assert found.difference < 1e-4
    written = next(line for line in PAGE.read_text().splitlines() if line.startswith(f"| {family} |"))
    told, made = ([cell.strip() for cell in text.split("|")] for text in (written, table([found]).splitlines()[2]))
    assert told[:3] + told[4:] == made[:3] + made[4:]  # all but the difference, whose last bits are the processor's


def test_the_page_has_every_family() -> None:
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert [line.split("|")[1].strip() for line in text.strip().splitlines()[2:]] == list(FAMILIES)


def test_the_check_of_the_engine_goes_into_the_provenance(tmp_path: Path) -> None:
    words = ["env.task=tomato_salad", "model=hf", f"model.path={save('lfm2', tmp_path / 'lfm2')}", "algorithm=ppo"]
    words += ["algorithm.num_envs=2", "algorithm.num_steps=4", "total_steps=16", "evaluation.episodes=0", "evaluation.gif=false"]
    code, output, errors = script("run", *words, f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 0, output + errors
    engine = json.loads((tmp_path / "run" / "provenance.json").read_text())["engine"]
    assert engine["engine"] == "rows"
    assert engine["mean"] > engine["tolerance"] == 1e-4
    assert AutoConfig.from_pretrained(tmp_path / "lfm2").model_type == "lfm2"
