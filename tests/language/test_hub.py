"""model.path=owner/name: what somebody sees who has the hub's models, by the hub's own client from a hub on this machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkout import ROOT, environment
from loading_tools import save
from safetensors.torch import load_file

from twosome.language import loading
from twosome.language.tiny import ENCODER_DECODERS

USER = """
import json, os, sys
from pathlib import Path
from local_hub import TOKEN, local_hub

def load(name):
    from twosome.errors import UserError  # not before HF_ENDPOINT is set, which is read once
    from twosome.language.loading import ModelConfig, load_language_model
    try:
        print(json.dumps(load_language_model(ModelConfig(source="hf", path=name)).checksum))
    except UserError as error:
        print(json.dumps(str(error)))

with local_hub(Path(sys.argv[1])) as address:
    os.environ["HF_ENDPOINT"] = address
    for name in ("open/t5", "open/bart", "open/llama", "gated/llama", "open/absent", "open/pickled"):
        load(name)
    os.environ["HF_TOKEN"] = TOKEN
    load("gated/llama")
load("open/llama")
load("open/other")
"""


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder of repositories: open/llama, in shards; open/t5 and open/bart; gated/llama; open/pickled, without safetensors."""
    for architecture in ENCODER_DECODERS:
        save(tmp_path / "open" / architecture, architecture)
    save(tmp_path / "open/llama", max_shard_size="100KB")
    save(tmp_path / "gated/llama")
    pickled = save(tmp_path / "open/pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    return tmp_path


def answers(program: str, hub: Path, tmp_path: Path) -> list[str]:
    """What a program prints that gets the hub's folder and has an empty cache."""
    ours = {name: value for name, value in environment().items() if not name.startswith("HF_")}
    ours |= {"HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", program, hub], env=ours, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_models_come_from_the_hub_and_then_from_the_cache(hub: Path, tmp_path: Path) -> None:
    lines = answers(USER, hub, tmp_path)
    *of_two_stacks, named, gated, absent, pickled, allowed, again, other = map(json.loads, lines)

    shards = sorted((hub / "open/llama").glob("*.safetensors"))
    assert len(shards) > 1
    assert of_two_stacks == [loading.checksum([hub / "open" / name / "model.safetensors"]) for name in ("t5", "bart")]
    assert named == again == loading.checksum(shards)
    assert allowed == loading.checksum([hub / "gated/llama/model.safetensors"])
    for name, line in {"gated/llama": gated, "open/absent": absent, "open/other": other}.items():
        assert line.startswith(f"model.path={name}: no folder here, and huggingface.co does not give it")
        assert "\n" not in line
    assert pickled == loading.checksum([hub / "open/pickled/pytorch_model.bin"])
