"""What is published: every adapter has its files and its card, and `make try` shows the one of tomato salad."""

import json
import re
import shlex
import time
from pathlib import Path

import pytest
from checkout import ROOT, call

from twosome.storage.folder import RunFolder

ADAPTERS = sorted(folder for folder in ROOT.glob("results/published/*/adapters/*") if folder.is_dir())


def test_there_is_one_that_make_try_evaluates():
    (named,) = re.findall(r"src/watch.py run=(\S+)", (ROOT / "Makefile").read_text())
    assert ROOT / named in ADAPTERS


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda folder: folder.name)
def test_an_adapter_is_complete_and_its_card_has_its_results(folder: Path):
    config = RunFolder(folder).config
    assert config.env.task == folder.name
    assert (
        RunFolder(folder).read_json("adapter_config.json", {})["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    )
    assert (folder / "adapter_model.safetensors").stat().st_size < 2_500_000
    card = (folder / "README.md").read_text()
    assert f'"{folder.relative_to(ROOT)}"' in card  # the lines that load it
    assert "license: apache-2.0" in card
    for record in json.loads((folder / "evaluation.json").read_text()):
        if record["task"] != folder.name and record["mode"] == "greedy":  # of other tasks the card has the sampled episodes
            continue
        assert f"{record['return_mean']:.4f} [" in card


@pytest.mark.slow
def test_make_try_prints_a_table_and_writes_a_page_in_two_minutes(tmp_path):
    (command,) = re.findall(r"\$\(BIN\)/python (src/watch.py .*)", (ROOT / "Makefile").read_text())
    (tmp_path / "results").symlink_to(ROOT / "results")
    start = time.monotonic()
    done = call(tmp_path, shlex.split(command))
    assert done.code == 0, done.output
    assert time.monotonic() - start < 120
    (sampled,) = re.findall(r"after +│ sampled +│ +20 │ +([0-9.]+) │", done.output)
    assert float(sampled) > 0.9
    assert (tmp_path / "watch.html").stat().st_size > 50_000
