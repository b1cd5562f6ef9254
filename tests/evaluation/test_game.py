"""src/play.py with a person's lines on standard input."""

import io
import re

import pytest
import torch
from evaluation_tools import composed

import twosome
from twosome import parts, seeding
from twosome.envs.optimum import best_actions, optimal_return
from twosome.envs.vector import Player
from twosome.errors import UserError
from twosome.evaluation.game import RANDOM_EPISODES, Game
from twosome.runs.play import PlayConfig, trained
from twosome.runs.play import run as play

SMALL = ("model=tiny_random", "ppo.num_envs=4", "ppo.num_steps=8", "total_steps=32", "evaluation.episodes=0",
         "evaluation.gif=false", "retention.drift=false", "env.kwargs.max_primitive_steps=20")  # fmt: skip


@pytest.fixture(scope="module")
def made():
    env = composed("play").env
    return parts.environment(env), env.gamma


@pytest.fixture
def typed(monkeypatch, capsys):
    """A function that types lines and returns what is printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def types(lines, start):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        start()
        return capsys.readouterr().out

    return types


def uniform(decision):
    """A model that prefers the first action."""
    return torch.tensor([0.5] + [0.5 / (len(decision.action_ids) - 1)] * (len(decision.action_ids) - 1)).log()


def forget(decision):
    """A model without a memory."""


def row(output: str, who: str) -> list[str]:
    (line,) = [line for line in output.splitlines() if re.match(rf"│ {who}", line)]
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


def optimal_lines(make_env, gamma, seed) -> list[str]:
    """What somebody types who plays optimally."""
    env = make_env()
    best, lines, player = best_actions(env, gamma), [], Player(env, gamma)
    player.reset(int(seeding.stream(seed, "play: environment").generate_state(1)[0]))
    while not player.ended:
        choice = player.decision.action_ids.index(best[player.decision.state])
        lines.append(str(choice + 1))
        player.choose(choice)
    return lines


def test_optimal_play_gets_the_optimal_return(made, typed):
    make_env, gamma = made
    optimum = optimal_return(make_env, gamma)
    output = typed(optimal_lines(make_env, gamma, 5), Game(make_env, gamma, 5, "model", uniform, forget, optimum).play)
    assert row(output, "you") == ["1.00", f"{optimum:+.4f}", "6.0"]
    assert row(output, "optimum")[1] == f"{optimum:+.4f}"
    assert "goal reached" in output
    assert row(output, "random play, mean of")[0] != "1.00"
    assert f"mean of {RANDOM_EPISODES}" in output


def test_the_models_row_is_its_greedy_episode(made, typed):
    make_env, gamma = made
    output = typed(["q"], Game(make_env, gamma, 5, "model", uniform, forget, None).play)
    player = Player(make_env(), gamma)
    player.reset(int(seeding.stream(5, "play: environment").generate_state(1)[0]))
    while not player.ended:
        player.choose(0)
    success, total, decisions = row(output, "model, greedy")
    assert total == f"{player.episode.discounted_return:+.4f}"
    assert (success, decisions) == (f"{player.episode.success:.2f}", f"{player.episode.decisions:.1f}")
    assert "optimum" not in output
    assert "stopped" in output
    assert row(output, "you, so far") == ["0.00", "+0.0000", "0.0"]


def test_a_question_mark_shows_probabilities_and_nonsense_is_asked_again(made, typed):
    make_env, gamma = made
    output = typed(["?", "0", "99", "-1", "²", "", "walk", "1"], Game(make_env, gamma, 0, "model", uniform, forget, None).play)
    assert re.search(r"   1  .* 50\.00% █{12}$", output, re.MULTILINE)
    assert output.count("expected a number from 1 to 5, ? or q") == 6
    assert "the model would do the same (50.0%)" in output  # and then the input ends
    assert row(output, "you, so far")[2] == "1.0"


def test_the_same_seed_is_the_same_game(made, typed):
    make_env, gamma = made
    games = (Game(make_env, gamma, seed, "model", uniform, forget, None) for seed in (3, 3, 4))
    one, two, other = (typed(["2", "?", "q"], game.play) for game in games)
    assert one == two
    assert row(one, "random") != row(other, "random")


def test_without_a_run_it_is_the_model_before_training(typed):
    words = ("model=tiny_random", "env.task=lettuce_salad", "env.kwargs.max_primitive_steps=20")
    output = typed(["?", "q"], lambda: play(composed("play", *words)))
    assert "lettuce salad  beside you: language model, untrained" in output
    shares = [float(share) for share in re.findall(r" (\d+\.\d\d)% ", output)]
    assert len(shares) > 2
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert row(output, "language model, untrained, greedy")


def test_with_a_run_it_is_the_trained_agent_in_the_runs_environment(typed, tmp_path):
    run = twosome.run(*SMALL, "env.task=lettuce_salad", folder=tmp_path / "run").folder
    output = typed(["?", "q"], lambda: play(composed("play", f"run={run}")))
    assert "lettuce salad  beside you: twosome-word, trained" in output
    own = twosome.load_agent(run)
    player = Player(own.make_env(), 1.0)
    decision = player.reset(int(seeding.stream(0, "play: environment").generate_state(1)[0]))
    shares = [float(share) for share in re.findall(r" (\d+\.\d\d)% ", output)]
    assert shares == pytest.approx((100 * own.probabilities(decision)).tolist(), abs=0.006)
    options = PlayConfig(str(run), 0, False)
    env, *_ = trained(options, composed("play", "env.task=tomato_salad", "env.kwargs.map=B"), ["env.task=x", "env.kwargs.map=B"])
    assert (env.task, env.kwargs.map, env.kwargs.max_primitive_steps) == ("tomato_salad", "B", 20)
    for word in ("norm=token", "env=virtualhome", "model.dtype=float32"):
        with pytest.raises(UserError, match=f"{word}: expected none with run="):
            trained(options, composed("play"), [word])
