"""The suites that play: which tasks, by whom, with which options, and what is refused."""

import json
import shutil

import pytest
from evaluation_tools import composed
from safetensors.torch import load_file

import twosome
from twosome.envs.babyai_text.tasks import TESTS
from twosome.envs.overcooked.kitchen import TASKS
from twosome.envs.virtualhome.task import task_names
from twosome.errors import UserError
from twosome.evaluation.suites import stages
from twosome.experiment import evaluate
from twosome.language.tuning import Lora

QUIET = ["retention.drift=false", "evaluation.gif=false"]
KITCHEN = ["model=tiny_random", "algorithm.num_envs=4", "algorithm.num_steps=16", "total_steps=64", "algorithm.learning_rate=0.1",
           "evaluation.episodes=3", "env.kwargs.max_primitive_steps=60", *QUIET]  # fmt: skip
ROOM = ["env=babyai_text", "env.kwargs.room_size=5", "env.kwargs.num_objects=2", "evaluation.episodes=0", "model=tiny_random",
        "algorithm.num_envs=2", "algorithm.num_steps=4", "total_steps=8", "algorithm.num_minibatches=1", *QUIET]  # fmt: skip
RANDOM = ["baseline=random", "evaluation.episodes=1", *QUIET]
PLAYERS = ("random", "before", "after")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return twosome.run(*KITCHEN, folder=tmp_path_factory.mktemp("runs") / "run").folder


def sampled(folder):
    everything = json.loads((folder / "evaluation.json").read_text())
    return {(record["when"], record["task"]): record for record in everything if record["mode"] == "sampled"}


def test_unseen_plays_every_other_task_by_three_agents(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    twosome.evaluate(folder, "suite=unseen", "episodes=4")
    found, others = sampled(folder), set(TASKS) - {"tomato_salad"}
    own = {("before", "tomato_salad"), ("after", "tomato_salad")}
    assert set(found) == own | {(when, task) for when in PLAYERS for task in others}
    assert all(record["episodes"] == 4 for key, record in found.items() if key not in own)
    for one, other in (("before", "after"), ("random", "before")):
        assert any(found[one, task]["return_mean"] != found[other, task]["return_mean"] for task in others)


@pytest.mark.slow
def test_cross_plays_every_task_of_every_environment(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    twosome.evaluate(folder, "suite=cross", "episodes=2")
    assert {task for when, task in sampled(folder) if when == "after"} == set(task_names()) | set(TASKS)


def test_glam_plays_every_test_by_three_players(tmp_path):
    run = twosome.run(*ROOM, "env.task=go_to", "env.kwargs.past_observations=1", folder=tmp_path / "run").folder
    found = twosome.evaluate(run, "suite=glam", "episodes=2").records
    assert {record["mode"] for record in found} == {"sampled"}
    settings = [(each["task"], each["prompt"], json.dumps(each["options"])) for each in found if each["when"] == "after"]
    assert len(settings) == len(set(settings)) == len(TESTS) + 1
    assert ("mixed", "default", '{"kwargs.split": "test"}') in settings
    assert {("go_to", "invented_words", "{}"), ("go_to_french", "default", "{}"), ("go_to", "default", "{}")} <= set(settings)
    assert [sum(record["when"] == when for record in found) for when in PLAYERS] == [len(settings)] * 3


def test_a_test_that_does_not_fit_is_left_out_with_a_note_and_agents_without_words_play_too(tmp_path, capsys):
    words = [*ROOM, "baseline=ppo", "env.task=go_to_local", "env.kwargs.num_actions=3"]
    run = twosome.run(*words, folder=tmp_path / "run").folder
    capsys.readouterr()
    assert len(twosome.evaluate(run, "suite=glam", "episodes=2").records) == 3 * (len(TESTS) - 1)
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: the test ")]
    assert [note.split()[3] for note in notes] == ["new_composition", "held_out_objects"]
    assert "expected 6 or 9 with task=pick_up_pick_up" in notes[0]


def test_what_a_suite_needs_is_said_in_one_line(tmp_path):
    run = twosome.run(*RANDOM, folder=tmp_path / "random").folder
    expected = dict.fromkeys(
        ("unseen", "drift", "retention"), f"expected a run that trained a language model; {run} trained none"
    )
    for suite, said in (expected | {"glam": "expected an environment with tests"}).items():
        with pytest.raises(UserError, match=f"^suite={suite}: {said}"):
            twosome.evaluate(run, f"suite={suite}")


def test_before_training_is_where_the_run_began(trained, tmp_path):
    """With init these are the weights of that run: both agents of suite=unseen have them, as the run's own record does."""
    second = twosome.run(*KITCHEN, f"init={trained}", "seed=1", "model.seed=0", folder=tmp_path / "second").folder
    found = {}
    for when, agent in stages(evaluate.finished(composed("evaluate", f"run={second}"))):
        if when != "random":
            found[when] = sorted(float(weight.abs().sum()) for weight in agent.language_model.learned())
    for when, folder in (("before", trained), ("after", second)):
        own = load_file(folder / "adapter" / Lora.weights)
        assert found[when] == pytest.approx(sorted(float(weight.abs().sum()) for weight in own.values()))
    assert found["before"] != found["after"]
