"""Evaluating a finished run again, in one process: what the run wrote itself stays to the byte; what is added says so."""

import json
import shutil
from datetime import datetime

import pytest
from evaluation_tools import composed
from omegaconf import OmegaConf

import twosome
from twosome.evaluation import records
from twosome.evaluation.records import LATER, add, own_return, stamp, write_own
from twosome.evaluation.retention import drift as report
from twosome.experiment import evaluate
from twosome.storage.folder import RunFolder

OWN = [("before", "sampled", 4, 1000), ("before", "greedy", 4, 1000), ("after", "sampled", 4, 1000), ("after", "greedy", 4, 1000)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of 4 episodes of evaluation."""
    words = "model=tiny_random algorithm.num_envs=2 algorithm.num_steps=32 total_steps=64 algorithm.learning_rate=0.1 "
    words += "evaluation.episodes=4 evaluation.gif=false retention.limit=2 env.kwargs.max_primitive_steps=30"
    return twosome.run(*words.split(), folder=tmp_path_factory.mktemp("records") / "run").folder


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def again(folder, *words):
    """Do what src/evaluate.py does; returns all records."""
    evaluate.run(composed("evaluate", f"run={folder}", *words))
    return json.loads((folder / "evaluation.json").read_text())


def played(found):
    return [(record["when"], record["mode"], record["episodes"], record["seed"]) for record in found]


def test_the_runs_own_records_stay_to_the_byte_beside_later_ones(trained, copy, capsys):
    own = (trained / "evaluation.json").read_text()
    assert played(json.loads(own)) == OWN
    assert LATER not in own
    again(copy, "episodes=1", "seed=5")
    assert "after, new" in capsys.readouterr().out
    found = again(copy, "episodes=6", "trust=true")
    assert played(found[4:]) == [("after", mode, *play) for play in ((1, 5), (6, 1000)) for mode in ("sampled", "greedy")]
    assert (copy / "evaluation.json").read_text().startswith(own.removesuffix("\n]\n"))
    assert [set(record) - set(found[0]) for record in found] == [set()] * 4 + [{LATER}] * 4
    assert [record[LATER]["trust"] for record in found[4:]] == [False, False, True, True]
    for entry in (record[LATER] for record in found[4:]):
        assert set(entry) == {"at", "by", "suite", "trust"}
        assert datetime.fromisoformat(entry["at"]).utcoffset().total_seconds() == 0
        assert entry["suite"] == "episodes"
        assert "@" in entry["by"]
    output = capsys.readouterr().out
    assert [output.count(f"│ {label} ") for label in ("after", "after, added", "after, new")] == [2, 2, 2]
    config = OmegaConf.load(copy / "config.yaml")
    assert own_return(RunFolder(copy), config.env) == found[2]["return_mean"] != found[6]["return_mean"]


def test_the_very_same_evaluation_adds_nothing(copy, capsys):
    own = (copy / "evaluation.json").read_bytes()
    again(copy, "episodes=4")
    assert (copy / "evaluation.json").read_bytes() == own
    assert "evaluation.json: had the same before; nothing was added to it" in capsys.readouterr().out
    once = again(copy, "episodes=3")
    assert again(copy, "episodes=3") == once
    assert len(once) == 6


def salad(value):
    """An environment's configuration, and a record of it."""
    env = OmegaConf.create({"id": "env", "task": "salad"})
    numbers = dict.fromkeys(("success_rate", "return_std", "decisions_mean", "primitive_steps_mean"), 1.0)
    played = {"mode": "sampled", "seed": 0, "episodes": 1, "return_mean": value, **numbers, "optimum": None}
    return env, {"when": "after", **records.setting_of(env), **played}


def test_a_resumed_run_replaces_its_own_records_only(tmp_path):
    folder, (env, first), (_, second) = RunFolder(tmp_path), salad(0.1), salad(0.2)
    write_own(folder, [first])
    (added,) = add(folder, [second], stamp("episodes", False))
    write_own(folder, [first | {"return_mean": 0.3}])
    assert records.read(folder) == [first | {"return_mean": 0.3}, added]
    assert own_return(folder, env) == 0.3


def test_the_runs_own_drift_stays_beside_later_ones(copy, capsys):
    file = copy / "retention.json"
    own = file.read_bytes()
    again(copy, "suite=drift")
    assert file.read_bytes() == own
    assert "retention.json: had the same before" in capsys.readouterr().out
    kept = json.loads(own)["drift"]
    file.write_text(json.dumps({"drift": kept | {"kl": 0.125}}))  # of another machine, say
    for _ in range(2):
        again(copy, "suite=drift")
        content = json.loads(file.read_text())
        assert content["drift"]["kl"] == 0.125
        (later,) = content["later"]
        assert later[LATER]["suite"] == "drift"
        assert later == {LATER: later[LATER], "drift": kept}
    report.write_own(kept, RunFolder(copy))  # a run that goes on measures again
    assert json.loads(file.read_text()) == content | {"drift": kept}
