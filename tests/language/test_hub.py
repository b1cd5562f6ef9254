"""model.path=owner/name: what a user sees who has the hub's models, seen with the hub's own client and a hub on this machine."""

import json
from pathlib import Path

import pytest
from checkout import checkout, run
from local_hub import TOKEN, local_hub

from twosome.language.config import ModelConfig
from twosome.language.loading import load_language_model

PROBE = ["src/probe.py", "model=hf", "prompt=You should first", "actions=[take the bowl, chop]", "format=json"]
TRAIN = ["src/run.py", "model=hf", "ppo.num_envs=2", "ppo.num_steps=8", "total_steps=16", "evaluation.episodes=0",
         "retention.drift=false", "hydra.run.dir=trained"]  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder of repositories: open/llama, in shards; gated/llama; open/pickled, which has no safetensors."""
    language = load_language_model(ModelConfig(source="tiny_random", lora={"rank": 0}))
    for name in ("open/llama", "gated/llama", "open/pickled"):
        language.model.save_pretrained(tmp_path / "hub" / name, max_shard_size="100KB" if name == "open/llama" else "1GB")
        language.tokenizer.save_pretrained(tmp_path / "hub" / name)
    (tmp_path / "hub/open/pickled/model.safetensors").rename(tmp_path / "hub/open/pickled/pytorch_model.bin")
    return tmp_path / "hub"


def test_models_come_from_the_hub_and_then_from_the_cache(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, cache = checkout(tmp_path / "suite"), tmp_path / "cache"
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(cache))
    opened = [*PROBE, "model.path=open/llama"]
    with local_hub(hub) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        refused = [f"model.path={name}" for name in ("gated/llama", "open/absent", "open/pickled")]
        folder, named, trained, *lines = run(
            suite,
            [[*PROBE, f"model.path={hub / 'open/llama'}"], opened, [*TRAIN, "model.path=open/llama"]]
            + [[*PROBE, option] for option in refused],
        )
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        (allowed,) = run(suite, [[*PROBE, "model.path=gated/llama"]])
    again, never = run(suite, [opened, [*PROBE, "model.path=open/other"]])

    assert folder.code == 0, folder.output
    assert {each.code for each in (named, allowed, again)} == {0}, named.output + allowed.output + again.output
    rows = [each.output[each.output.index("[\n") :] for each in (folder, named, allowed, again)]  # after the progress bars
    assert rows == rows[:1] * 4
    assert trained.code == 0, trained.output
    adapter = json.loads((suite / "trained/adapter/adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "open/llama"
    parts = ["set HF_TOKEN", "check the name", "model.allow_pickle=true", "copy the model here"]
    for option, line, part in zip([*refused, "model.path=open/other"], [*lines, never], parts, strict=True):
        assert line.code == 2, line.output
        assert line.output.count("error") == 1, line.output
        last = line.output.splitlines()[-1]
        assert last.startswith(f"error: {option}: ")
        assert part in last
    assert not list(cache.rglob("*.bin"))  # pickled weights were not even downloaded
