"""suite=interference on a run: the files that it writes, and what stays as it is."""

import hashlib
import json
import shutil

import matplotlib
import pandas as pd
import pytest
from checkout import checkout, run, tables
from evaluation_tools import composed

from twosome.decision import Decision
from twosome.errors import UserError
from twosome.evaluation.interference import report, summary
from twosome.evaluation.records import LATER
from twosome.runs import evaluate

FILES = ("interference.json", "interference.csv", "interference.png")
SMALL = "model=tiny_random algorithm.num_envs=2 algorithm.num_steps=8 total_steps=16 evaluation.episodes=1 evaluation.gif=false"
RUNS = {
    "twosome": f"{SMALL} retention.drift=false algorithm.learning_rate=0.01",
    "ppo": f"{SMALL} baseline=ppo env=virtualhome env.task=food_preparation",
    "random": "baseline=random evaluation.gif=false evaluation.episodes=1",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folders of finished runs, by baseline."""
    folder = checkout(tmp_path_factory.mktemp("interference"))
    for outcome in run(folder, [["src/run.py", *words.split(), f"hydra.run.dir={name}"] for name, words in RUNS.items()]):
        assert outcome.code == 0, outcome.output
    return folder


@pytest.fixture
def copies(folders, tmp_path):
    """Copies of the runs, one for each call."""
    return lambda name: shutil.copytree(folders / name, tmp_path / name, dirs_exist_ok=True)


def asked(folder, *words):
    options = (f"run={folder}", "suite=interference", "interference.critic_rollouts=1", "interference.situations=6")
    return evaluate.run(composed("evaluate", *options, *words))


def content(folder, own=True):
    """The bytes of the files that the suite writes or, with own=False, of the others."""
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {str(path): text for path, text in files.items() if (str(path) in FILES) == own}


@pytest.mark.parametrize("name", ["twosome", "ppo"])
def test_the_files_of_a_run(name, copies, capsys):
    folder = copies(name)
    others, settings = content(folder, own=False), dict(matplotlib.rcParams)
    share = asked(folder)
    assert dict(matplotlib.rcParams) == settings
    assert content(folder, own=False) == others
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines()[:-4])) <= 80
    rows, found = pd.read_csv(folder / "interference.csv"), json.loads((folder / "interference.json").read_text())
    assert list(rows) == tables("docs/methods.md", "### Columns of interference.csv")
    assert rows.log_prob_after.isna().all() == (name == "ppo")
    assert found["settings"] | {"when": "before", "critic_rollouts": 1, "seed": 1000, "samples": 16} == found["settings"]
    assert found["table_sha256"] == hashlib.sha256((folder / "interference.csv").read_bytes()).hexdigest()
    assert (set(found[LATER]), found[LATER]["suite"]) == ({"at", "by", "suite", "trust"}, "interference")
    measure = summary.measured(rows)[0]
    assert share == found["carried_over"][measure] == pytest.approx(summary.carried_over(rows, measure), rel=1e-5)
    for kind, entry in found["changes"][measure].items():
        assert f"│ {' '.join(kind.split()[:2])} " in output  # a long one is on two lines
        inside = rows[(rows.kind == kind) & rows.in_update]
        assert entry["in_update"]["situations"] == len(inside)
        if len(inside):
            assert f"{summary.changes(inside, measure).mean():+.3f}" in output


def test_the_same_seed_writes_the_same_bytes_and_keeps_the_stamp(copies):
    folder = copies("twosome")
    asked(folder)
    summary_file = folder / "interference.json"
    summary_file.write_text(summary_file.read_text().replace('"at": "2', '"at": "1'))  # a thousand years ago
    first = content(folder)
    assert set(first) == set(FILES)
    asked(folder)
    assert content(folder) == first
    asked(folder, "seed=7")
    assert [name for name, text in content(folder).items() if text == first[name]] == []


def test_the_trained_agent_is_measured_where_it_is_asked_for(copies, folders):
    folder = copies("ppo")
    asked(folder, "interference.when=after")
    rows = pd.read_csv(folder / "interference.csv")
    found = evaluate.finished(composed("evaluate", f"run={folders / 'ppo'}"))
    env = found.make_env()
    start = Decision.from_step(*env.reset(seed=0))
    own = rows[rows.prompt == start.prompt]
    measured = own[own.situation == own.situation.iloc[0]].log_policy_before.to_numpy()
    untrained = found.agent.log_policy([start])[0].numpy()
    found.folder.load(found.agent)
    trained = found.agent.log_policy([start])[0].numpy()
    assert measured == pytest.approx(trained, abs=1e-6)
    assert abs(measured - untrained).max() > 1e-4


def test_a_probe_that_fails_leaves_the_files_of_the_last(copies, monkeypatch):
    folder = copies("ppo")
    asked(folder)
    first = content(folder)
    monkeypatch.setattr(report, "draw", None)
    with pytest.raises(TypeError):
        asked(folder, "seed=7")
    assert content(folder) == first


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("random", [], "suite=interference: expected a run of an agent that learns; that of "),
        ("twosome", ["++env.gamma=0.5"], "env.gamma=0.5: expected the run's own with suite=interference; leave it out"),
    ],
)
def test_runs_and_options_that_do_not_fit_are_one_line(folders, name, words, said):
    with pytest.raises(UserError) as error:
        asked(folders / name, *words)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_summary_is_reported_before_anything_is_computed(copies, monkeypatch):
    folder = copies("ppo")
    (folder / "interference.json").write_text("{")
    monkeypatch.setattr(evaluate.parts, "agent", None)
    with pytest.raises(UserError, match=r"interference\.json: expected readable JSON"):
        asked(folder)
