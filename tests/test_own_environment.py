"""The manual's pages on environments of one's own, and the package to copy: their code works."""

import runpy
import shlex
from functools import partial

import gymnasium
import pytest
from checkout import ROOT, added_files, blocks, call, commands, result

from twosome import check_env, evaluate
from twosome.envs.optimum import optimal_return
from twosome.envs.vector import Player

EXAMPLE = ROOT / "examples" / "own_environment"
PAGE = "docs/howto/gymnasium.md"
LAKE, DOOR_KEY, _, OPTIMUM = blocks(PAGE, "python")


@pytest.mark.parametrize(("code", "lines", "name"), [(LAKE, 15, "lake/Words-v0"), (DOOR_KEY, 30, "door_key/Words-v0")])
def test_a_gymnasium_environment_takes_few_lines(code, lines, name):
    assert sum(bool(line.strip()) for line in code.splitlines()) <= lines
    exec(code, {})
    env = gymnasium.make(name)
    assert env.spec.id == name
    check_env(env, steps=400)


def test_the_pages_door_key_can_be_solved_by_what_it_says():
    exec(DOOR_KEY, {})
    player = Player(gymnasium.make("door_key/Words-v0"), 1.0)
    said = player.reset(3)
    assert said.prompt.startswith("You carry nothing. The ")
    assert all(words in said.prompt for words in ("The key is ", "The door is ", "The goal is ", " steps "))
    seen = set()
    for _ in range(10):
        while not player.ended:  # with the key and the door, if they can be used, and else at random
            ids = player.decision.action_ids
            seen |= set(ids)
            player.step(int(player.env.np_random.choice([action for action in ids if action > 2] or ids)))
        if player.episode.success:
            break
        player.reset()
    assert seen == {0, 1, 2, 3, 5}
    assert player.episode.success
    assert 0.1 < player.episode.raw_return < 1


def test_the_pages_lake_has_an_optimum():
    words = {}
    exec(LAKE + OPTIMUM, words)
    env = words["Lake"](gymnasium.make("FrozenLake-v1"), ("a", "b", "c", "d"), words["describe"])
    assert env.reset(seed=0)[1]["state"] == 0
    assert optimal_return(lambda: env, 0.99) == pytest.approx(0.542026, abs=1e-6)


def test_the_pages_corridor_has_all_that_is_optional(monkeypatch):
    monkeypatch.setattr(gymnasium, "register", lambda *_, **__: None)
    words = {}
    exec(added_files()["src/twosome/envs/corridor.py"], words)
    make = partial(words["WindyCorridor"], wind=0.5, render_mode="rgb_array")
    env = make()
    check_env(env, steps=200)
    env.reset(seed=0)
    for action in env.demonstration():
        assert action == 1
    assert env.render().shape == (64, 320, 3)
    # at gamma 1 each place costs two steps of 0.01 on the mean
    assert optimal_return(make, 1.0) == pytest.approx(1 - 0.01 * 2 * (4 + 3 + 2 + 1) / 4)


def test_the_package_to_copy_works_in_python_and_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    tests = runpy.run_path(str(EXAMPLE / "test_blackjack.py"))
    tests["test_it_keeps_the_contract"]()
    tests["test_a_run_trains_on_it"](tmp_path)
    (command,) = commands(PAGE)
    path, _, *words = shlex.split(command)
    assert path == "PYTHONPATH=examples/own_environment"
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in words]
    ended = call(tmp_path, [*words, *tests["SMALL"], "hydra.run.dir=other"])
    assert ended.code == 0, ended.output
    assert result(tmp_path / "other") == result(tmp_path / "run")
    other = evaluate(tmp_path / "other", "episodes=1", "trust=true", "+env.kwargs.sab=false").records[-1]
    assert (other["optimum"], other["options"]) == (None, {"kwargs.sab": False})  # by hand for the run's own options
    assert (tmp_path / "other" / "config.yaml").read_bytes() == (tmp_path / "run" / "config.yaml").read_bytes()
