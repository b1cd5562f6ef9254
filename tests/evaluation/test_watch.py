"""src/watch.py on short runs: the page's numbers are the agent's own, and it needs nothing but itself."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from evaluation_tools import composed

import twosome
from twosome import seeding
from twosome.envs.vector import Player
from twosome.errors import UserError
from twosome.experiment.watch import run as watch
from twosome.experiment.watch import write

SMALL = ("model=tiny_random", "algorithm.num_envs=4", "algorithm.num_steps=8", "total_steps=64", "algorithm.learning_rate=0.05",
         "evaluation.episodes=0", "evaluation.gif=false", "retention.drift=false",
         "env.kwargs.max_primitive_steps=20")  # fmt: skip
EPISODES, SEED = 2, 7


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return twosome.run(*SMALL, folder=tmp_path_factory.mktemp("runs") / "run").folder


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory) -> Path:
    return watched(trained, tmp_path_factory.mktemp("pages") / "watch.html")


def watched(run: Path, to: Path, *words: str) -> Path:
    watch(composed("watch", f"run={run}", f"to={to}", f"episodes={EPISODES}", f"seed={SEED}", *words))
    return to


def content(page: Path) -> dict:
    """The data in a page."""
    return json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)[0])


@pytest.fixture(scope="module")
def shown(page) -> dict:
    return content(page)


@pytest.fixture(scope="module")
def agent(trained):
    return twosome.load_agent(trained)


def test_probabilities_are_those_of_the_trained_agent_and_of_the_one_before(shown, agent):
    assert shown["stages"] == ["after", "before"]
    for entry in shown["decisions"]:
        after, before = (view["probs"] for view in entry["views"])
        assert after == pytest.approx(agent.probabilities(entry["prompt"], entry["actions"]).tolist(), abs=2e-6)
        with agent.policy.language_model.reference():
            agent.policy.begin_rollout()
            assert before == pytest.approx(agent.probabilities(entry["prompt"], entry["actions"]).tolist(), abs=2e-6)
        agent.policy.begin_rollout()
        moved = sum(abs(p - q) for p, q in zip(after, before, strict=True)) / 2
        assert entry["difference"] == pytest.approx(moved, abs=2e-6)
    assert max(entry["difference"] for entry in shown["decisions"]) > 0.01


def test_tokens_sum_to_the_score_and_the_scores_give_the_probabilities(shown):
    for entry in shown["decisions"]:
        for view in entry["views"]:
            for action, pieces, tokens, logprob, score in zip(
                entry["actions"], entry["pieces"], view["tokens"], view["logprobs"], view["scores"], strict=True
            ):
                assert "".join(pieces) == f" {action}"
                assert sum(tokens) == pytest.approx(logprob, abs=1e-4)
                assert score == pytest.approx(logprob / len(action.split()), abs=1e-4)  # norm=word
            weights = [math.exp(score - max(view["scores"])) for score in view["scores"]]
            assert view["probs"] == pytest.approx([weight / sum(weights) for weight in weights], abs=1e-4)


def test_episodes_are_those_of_the_environment(shown, agent):
    seeds = seeding.stream(SEED, "watch: environments").generate_state(EPISODES)
    assert len(shown["episodes"]) == EPISODES
    for number, episode in enumerate(shown["episodes"]):
        player = Player(agent.make_env(), shown["gamma"], number)
        player.reset(int(seeds[number]))
        *moments, end = episode["moments"]
        for moment in moments:
            entry = shown["decisions"][moment["decision"]]
            assert (entry["prompt"], tuple(entry["actions"])) == player.decision.text
            assert moment["total"] == pytest.approx(player.episode.discounted_return)
            assert moment["step"] == player.episode.primitive_steps
            assert moment["reward"] == pytest.approx(player.choose(moment["chosen"]).reward)
        assert player.ended
        assert (end["decision"], end["chosen"], end["reward"]) == (None, None, None)
        assert end["total"] == pytest.approx(player.episode.discounted_return)
        assert episode["success"] == player.episode.success
        assert episode["ending"] == ("goal reached" if player.episode.success else "out of time")


def test_values_are_those_of_the_last_checkpoints_critic(shown, trained):
    state = torch.load(sorted(trained.glob("checkpoints/*"))[-1], weights_only=True)["state_dict"]
    own = twosome.load_agent(trained)
    player = Player(own.make_env(), 1.0)
    decision = player.reset(int(seeding.stream(SEED, "watch: environments").generate_state(1)[0]))
    untrained = own.policy.values([decision]).item()
    weights = {name.removeprefix("agent.critic."): value for name, value in state.items() if name.startswith("agent.critic.")}
    own.policy.critic.load_state_dict(weights)
    found = shown["decisions"][shown["episodes"][0]["moments"][0]["decision"]]["value"]
    assert found == pytest.approx(own.policy.values([decision]).item(), abs=1e-5)
    assert found != pytest.approx(untrained, abs=1e-3)


def test_the_page_refers_to_nothing_outside_of_itself(page):
    text = page.read_text()
    assert not re.search(r"https?:|\bsrc=|<link|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|import\(", text)
    assert "default-src 'none'; img-src data:;" in text
    assert "{{" not in text
    uris = content(page)["pictures"]
    assert len(set(uris)) == len(uris) > 1
    assert all(uri.startswith("data:image/png;base64,iVBORw0KGgo") for uri in uris)
    assert page.stat().st_size < 1_000_000


def test_text_of_the_environment_cannot_leave_its_element(tmp_path):
    write(tmp_path / "page.html", {"title": "<b>&", "x": "</script><script>alert(1)</script><!--"})
    text = (tmp_path / "page.html").read_text()
    assert "<title>&lt;b&gt;&amp;: " in text
    assert "alert(1)</script>" not in text
    assert content(tmp_path / "page.html")["x"] == "</script><script>alert(1)</script><!--"


def test_the_same_command_writes_the_same_page_and_leaves_the_run_as_it_is(trained, page, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    to = watched(run, tmp_path / "watch.html")
    assert to.read_bytes() == page.read_bytes()
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before
    assert watched(run, to).read_bytes() == page.read_bytes()  # an earlier page is replaced


@pytest.mark.parametrize("name", ["notes.html", "folder"])
def test_what_is_no_page_is_not_replaced(name, trained, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.html").write_text("<!doctype html>\nmine")
    with pytest.raises(UserError, match="is there and is no page of this command"):
        watched(trained, tmp_path / name)
    assert (tmp_path / "notes.html").read_text() == "<!doctype html>\nmine"


def test_the_agent_before_training_can_act_on_another_task(trained, tmp_path, capsys):
    words = ["actor=untrained", "policy=greedy", "++env.task=lettuce_salad", "evaluation=2"]
    shown = content(watched(trained, tmp_path / "watch.html", *words))
    for episode in shown["episodes"]:
        for moment in episode["moments"][:-1]:
            probs = shown["decisions"][moment["decision"]]["views"][1]["probs"]
            assert probs[moment["chosen"]] == max(probs)
    assert ["actions", "greedy, before training"] in shown["facts"]
    assert shown["title"] == "lettuce salad"
    table = capsys.readouterr().out
    assert all(words in table for words in ("lettuce_salad, seed 0", "│ before", "│ after", "optimum"))


def test_agents_without_a_language_model_show_probabilities_only(tmp_path):
    run = twosome.run("baseline=ppo", *SMALL, folder=tmp_path / "ppo").folder
    shown = content(watched(run, tmp_path / "ppo.html"))
    assert shown["stages"] == ["after", "before"]
    assert all(set(view) == {"probs"} for entry in shown["decisions"] for view in entry["views"])
    assert all("value" in entry for entry in shown["decisions"])
    run = twosome.run("baseline=random", *SMALL, folder=tmp_path / "random").folder
    assert content(watched(run, tmp_path / "random.html"))["stages"] == ["after"]
    with pytest.raises(UserError, match="actor=untrained: expected a run that trained something"):
        watched(run, tmp_path / "random.html", "actor=untrained")
    with pytest.raises(UserError, match="policy=best: expected one of greedy, sampled"):
        watched(run, tmp_path / "random.html", "policy=best")
