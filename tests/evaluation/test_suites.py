"""suite=unseen and suite=cross: which tasks are played, by whom, and that the trained agent is the trained one."""

import json
import shutil

import pytest
from checkout import checkout, run
from evaluation_tools import script

from twosome.envs.overcooked.kitchen import TASKS
from twosome.envs.virtualhome.task import task_names


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    options = ("model=tiny_random", "algorithm.num_envs=4", "algorithm.num_steps=16", "total_steps=64",
               "algorithm.learning_rate=0.1",
               "retention.drift=false", "evaluation.gif=false", "evaluation.episodes=3",
               "env.kwargs.max_primitive_steps=60")  # fmt: skip
    code, _, errors = script("run", *options, f"hydra.run.dir={path}")
    assert code == 0, errors
    return path


def sampled(path):
    everything = json.loads((path / "evaluation.json").read_text())
    return {(record["when"], record["task"]): record for record in everything if record["mode"] == "sampled"}


def test_unseen_plays_every_other_task_by_three_agents(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    code, _, errors = script("evaluate", f"run={folder}", "suite=unseen", "episodes=4")
    assert code == 0, errors
    found = sampled(folder)
    others = set(TASKS) - {"tomato_salad"}
    assert len(others) == 6
    own = {("before", "tomato_salad"), ("after", "tomato_salad")}
    assert set(found) == own | {(when, task) for when in ("random", "before", "after") for task in others}
    assert all(record["episodes"] == 4 for key, record in found.items() if key not in own)
    for one, other in (("before", "after"), ("random", "before")):
        assert any(found[one, task]["return_mean"] != found[other, task]["return_mean"] for task in others)


@pytest.mark.slow
def test_cross_plays_every_task_of_every_environment(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    code, _, errors = script("evaluate", f"run={folder}", "suite=cross", "episodes=2")
    assert code == 0, errors
    after = {task for when, task in sampled(folder) if when == "after"}
    assert after == set(task_names()) | set(TASKS)


def test_an_agent_without_a_language_model_is_refused_in_one_line(tmp_path):
    trained = ["src/run.py", "baseline=random", "evaluation.gif=false", "evaluation.episodes=1", "hydra.run.dir=random"]
    suites = ("unseen", "drift", "retention")
    asked = [["src/evaluate.py", "run=random", f"suite={suite}"] for suite in suites]
    first, *others = run(checkout(tmp_path), [trained, *asked])
    assert first.code == 0, first.output
    for suite, other in zip(suites, others, strict=True):
        expected = f"error: suite={suite}: expected a run that trained a language model; random trained none\n"
        assert (other.code, other.output) == (2, expected)
