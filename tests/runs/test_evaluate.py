"""src/evaluate.py on a short run of a random model: the trained agent comes back, and its folder keeps what it has."""

import json
import shutil
from pathlib import Path

import pytest
from checkout import call
from small import SMALL

import twosome
from twosome.errors import UserError
from twosome.evaluation.suites import SUITES


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder; its policy after training differs from that before."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    options = ["total_steps=256", "algorithm.learning_rate=0.01", "evaluation.episodes=6", "env.kwargs.max_primitive_steps=60"]
    twosome.run(*SMALL, *options, "retention.drift=true", "retention.limit=3", folder=folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(trained, tmp_path / "run")


def records(path: Path) -> list[dict]:
    """The run's records."""
    return json.loads((path / "evaluation.json").read_text())


def test_the_trained_agent_comes_back(run: Path) -> None:
    before = records(run)
    evaluated = twosome.evaluate(run, "episodes=6")
    assert evaluated.records == before  # the same episodes again, to the last bit
    sampled = {record["when"]: record["return_mean"] for record in before if record["mode"] == "sampled"}
    assert evaluated.score == sampled["after"] != sampled["before"]


def test_the_drift_of_a_finished_run_is_what_the_run_found(run: Path) -> None:
    found = json.loads((run / "retention.json").read_text())["drift"]
    (run / "retention.json").unlink()
    twosome.evaluate(run, "suite=drift")
    (later,) = json.loads((run / "retention.json").read_text())["later"]
    assert later["drift"] == found
    assert 0 < found["kl"] < 1


def test_another_task_gets_its_own_records_and_film(run: Path) -> None:
    before = records(run)
    words = ("env.task=lettuce_salad", "env.prompt=no_context", "+env.kwargs.max_primitive_steps=20", "gif=true")
    twosome.evaluate(run, "episodes=2", "seed=5", *words)
    new = records(run)[len(before) :]
    assert records(run)[: len(before)] == before
    assert [(each["mode"], each["task"], each["prompt"], each["seed"], each["episodes"]) for each in new] == [
        (mode, "lettuce_salad", "no_context", 5, 2) for mode in ("sampled", "greedy")
    ]
    assert new[0]["options"] == {"kwargs.max_primitive_steps": 20}
    assert (run / "episode_lettuce_salad.gif").read_bytes()[:3] == b"GIF"


def test_a_sweep_over_runs_and_tasks(trained: Path, tmp_path: Path) -> None:
    paths = [shutil.copytree(trained, tmp_path / name) for name in ("one", "two")]
    ended = call(
        tmp_path, ["src/evaluate.py", "-m", f"run={paths[0]},{paths[1]}", "env.task=lettuce_salad,onion_salad", "episodes=1"]
    )
    assert ended.code == 0, ended.output
    for path in paths:
        tasks = [record["task"] for record in records(path)[len(records(trained)) :]]
        assert tasks == ["lettuce_salad", "lettuce_salad", "onion_salad", "onion_salad"]  # sampled and greedy
    assert sorted(path for path in tmp_path.iterdir() if path.name != "multirun") == paths


@pytest.mark.parametrize(("words", "said"), [
    (["run=/no/where"], "run=/no/where: expected the folder of a finished run"),
    (["run={run}", "env.task=soup"], "task=soup: expected one of"),
    (["run={run}", "+env.kwargs.mapp=B"], "env=kwargs.mapp: expected one of"),
    (["run={run}", "episodes=0"], "episodes=0: expected an integer above 0"),
    (["run={run}", "device=gpu"], "device=gpu: expected one of"),
    (["run={run}", "suite=drifts"], f"suite=drifts: expected one of {', '.join(sorted(SUITES))}"),
])  # fmt: skip
def test_bad_words_are_one_line(trained: Path, tmp_path: Path, words: list[str], said: str) -> None:
    ended = call(tmp_path, ["src/evaluate.py", *(word.format(run=trained) for word in words)])
    assert (ended.code, len(ended.output.splitlines())) == (2, 1), ended.output
    assert said in ended.output


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(run: Path) -> None:
    (run / "DONE").unlink()
    with pytest.raises(UserError, match=f"finish it with: python src/run.py resume={run}"):
        twosome.evaluate(run)
