"""suite=glam: GLAM's tests of generalisation are played, by whom, with which options, and what is refused."""

import json

import pytest
from checkout import checkout, run

from twosome.envs.babyai_text.env import BabyAITextEnv
from twosome.envs.babyai_text.tasks import TESTS
from twosome.evaluation.generalization import half_width

ROOM = ["src/run.py", "env=babyai_text", "env.kwargs.room_size=5", "env.kwargs.num_objects=2", "evaluation.gif=false",
        "evaluation.episodes=0", "retention.drift=false"]  # fmt: skip
SMALL = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=4", "total_steps=8", "algorithm.num_minibatches=1"]
RUNS = {
    "words": [*ROOM, *SMALL, "baseline=twosome", "env.task=go_to", "env.kwargs.past_observations=1"],
    "memory": [*ROOM, *SMALL, "baseline=ppo", "env.task=go_to_local", "env.kwargs.num_actions=3"],
    "kitchen": ["src/run.py", "baseline=random", "evaluation.gif=false", "evaluation.episodes=0"],
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = checkout(tmp_path_factory.mktemp("glam"))
    first = [[*words, f"hydra.run.dir={name}"] for name, words in RUNS.items()]
    then = [["src/evaluate.py", f"run={name}", "suite=glam", "episodes=2"] for name in RUNS]
    every = run(folder, [*first, *then])
    assert all(each.code == 0 for each in every[:3]), [each.output for each in every[:3]]
    return folder, dict(zip(RUNS, every[3:], strict=True))


def test_every_test_is_played_by_three_players(ended):
    folder, outcomes = ended
    assert outcomes["words"].code == 0, outcomes["words"].output
    found = json.loads((folder / "words" / "evaluation.json").read_text())
    assert {record["mode"] for record in found} == {"sampled"}
    after = [record for record in found if record["when"] == "after"]
    settings = [(record["task"], record["prompt"], json.dumps(record["options"])) for record in after]
    assert len(settings) == len(set(settings)) == len(TESTS) + 1
    assert ("mixed", "default", '{"kwargs.split": "test"}') in settings
    assert {("go_to", "invented_words", "{}"), ("go_to_french", "default", "{}"), ("go_to", "default", "{}")} <= set(settings)
    assert {when: sum(record["when"] == when for record in found) for when in ("random", "before", "after")} == dict.fromkeys(
        ("random", "before", "after"), len(settings)
    )
    assert "± half of the 99 % interval" in outcomes["words"].output


def test_a_test_that_does_not_fit_is_left_out_with_a_note_and_agents_without_words_play_too(ended):
    folder, outcomes = ended
    assert outcomes["memory"].code == 0, outcomes["memory"].output
    notes = [line for line in outcomes["memory"].output.splitlines() if line.startswith("note: the test ")]
    assert [note.split()[3] for note in notes] == ["new_composition", "held_out_objects"]
    assert "expected 6 or 9 with env.task=pick_up_pick_up" in notes[0]
    found = json.loads((folder / "memory" / "evaluation.json").read_text())
    assert len(found) == 3 * (len(TESTS) - 1)


def test_an_environment_without_tests_is_refused_in_one_line(ended):
    _, outcomes = ended
    assert outcomes["kitchen"].code == 2
    assert outcomes["kitchen"].output.startswith("error: suite=glam: expected an environment with tests of generalisation")


def test_the_tests_change_what_the_environment_has():
    for name, options in TESTS.items():
        words = {option.removeprefix("kwargs."): value for option, value in options.items()}
        env = BabyAITextEnv(**{"task": "go_to"} | words)
        _, info = env.reset(seed=0)
        assert (info["prompt"] != BabyAITextEnv("go_to").reset(seed=0)[1]["prompt"]) or name == "held_out_objects"
        env.close()


def test_half_of_the_99_percent_interval():
    assert half_width(0.5, 1000) == pytest.approx(2.576 * 0.5 / 1000**0.5)
    assert half_width(1.0, 10) == 0
