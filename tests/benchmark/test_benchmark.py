"""The command writes a file of one format; each of its parts is kept when the other is measured."""

import json
from pathlib import Path

import hydra
import pytest
from hydra import compose

from twosome.benchmark import limit
from twosome.benchmark.benchmark import benchmark, spread, write
from twosome.benchmark.config import checked_benchmark
from twosome.config import CONFIGS

SMALL = ["model=tiny_random", "num_envs=2", "num_steps=2", "repeat_tokens=100", "cached_sizes=[2]"]
SPEED = ["tasks=[tomato_salad]", "synthetic=[nothing_recurs]", "works=[first_rollout,update]", "rounds=2"]


def test_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(limit, "SIZE", 64)
    monkeypatch.setattr(limit, "TRIAD", 2**20)
    file = tmp_path / "benchmark.json"
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("benchmark", [*SMALL, *SPEED, f"output={file}"])
        benchmark(config, *checked_benchmark(config))
    printed = capsys.readouterr()
    assert "tomato_salad" in printed.out
    assert [text.split(":")[0] for text in printed.err.splitlines()][:2] == ["tomato_salad first_rollout", "tomato_salad update"]
    found = json.loads(file.read_text())
    assert found["format"] == 2
    speed = found["speed"]
    works = ["first_rollout", "update"]
    assert [(row["source"], row["work"]) for row in speed["results"]] == [
        (source, work) for source in ("tomato_salad", "nothing_recurs") for work in works
    ]
    for row in speed["results"]:
        engine = row["engine"]["seconds"]
        assert len(engine) == 2
        for name in ("repeat", "cached", *(["remembered"] if row["work"] != "update" else [])):
            assert row[name]["ratio"] == pytest.approx(spread(b / a for a, b in zip(engine, row[name]["seconds"], strict=True)))
        assert row["limit"]["ratio"] == pytest.approx(spread(a / b for a, b in zip(engine, row["limit"]["seconds"], strict=True)))
        assert row["limit"]["flops"] <= row["engine"]["flops"]
        assert row["cached"]["largest_difference"] < 1e-4
    assert speed["machine"]["model"] == "tiny_random/llama"


def test_parts_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "benchmark.json"
    file.write_text('{"machine": {}, "results": []}')  # format 1
    write(file, "speed", {"a": 1})
    write(file, "memory", {"b": 2})
    write(file, "speed", {"c": 3})
    assert json.loads(file.read_text()) == {"format": 2, "speed": {"c": 3}, "memory": {"b": 2}}


def test_spread() -> None:
    assert spread([3.0, 1.0, 7.0]) == {"minimum": 1.0, "median": 3.0, "maximum": 7.0}
