"""Action probabilities are those of the model's own forward pass, for families of every kind (manual/families.py)."""

import json
import sys
from pathlib import Path

import pytest
from checkout import ROOT
from evaluation_tools import script
from transformers import AutoConfig

sys.path.insert(0, str(ROOT))
from manual.families import BEGIN, END, FAMILIES, PAGE, QUICK, row, save, table


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
    assert "note: model.engine=rows" in errors
    engine = json.loads((tmp_path / "run" / "provenance.json").read_text())["engine"]
    assert engine["engine"] == "rows"
    assert engine["mean"] > engine["tolerance"] == 1e-4
    assert AutoConfig.from_pretrained(tmp_path / "lfm2").model_type == "lfm2"
