"""The untrained model plays once for all runs that share it, and every run has the bytes that it would have alone."""

import json

import gymnasium
import pytest
from checkout import checkout, run
from evaluation_tools import composed
from omegaconf import OmegaConf
from safetensors.torch import load_file

import twosome
from twosome import parts
from twosome.evaluation.finished import stages
from twosome.evaluation.untrained import key_of, names_own_code, once
from twosome.language.lora import WEIGHTS
from twosome.policies.policy_heads import Words
from twosome.policies.random import RandomAgent
from twosome.runs import evaluate
from twosome.storage import cache as storage
from twosome.storage.cache import cached

OPTIONS = "model=tiny_random ppo.num_envs=2 ppo.num_steps=8 total_steps=16 ppo.learning_rate=0.1 evaluation.episodes=3 "
OPTIONS += "evaluation.gif=false retention.drift=false env.kwargs.max_primitive_steps=15"
TIMES = ("steps_per_second", "rollout_seconds", "update_seconds")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "episodes"


def test_a_run_takes_the_untrained_models_episodes_from_another_and_no_byte_differs(tmp_path, cache):
    folder = checkout(tmp_path)
    environment = {"TWOSOME_CACHE": str(tmp_path / "cache")}

    def trained(name: str, *more: str) -> tuple[list, str, str]:
        (outcome,) = run(folder, [["src/run.py", *OPTIONS.split(), *more, f"hydra.run.dir={name}"]], **environment)
        assert outcome.code == 0, outcome.output
        texts = [(folder / name / file).read_text() for file in ("evaluation.json", "episodes.csv", "metrics.csv")]
        times = [texts[2].splitlines()[0].split(",").index(column) for column in TIMES]
        rows = [[cell for at, cell in enumerate(line.split(",")) if at not in times] for line in texts[2].splitlines()]
        return json.loads(texts[0]), texts[1], str(rows)

    alone = trained("alone")
    kept = sorted(cache.iterdir())
    assert len(kept) == 2  # sampled and greedy, before training; nothing of the trained model
    other = trained("other", "seed=1", "model.seed=0", "ppo.learning_rate=0.01", "value_head.hidden_sizes=[8]")
    assert sorted(cache.iterdir()) == kept
    assert other[0][:2] == alone[0][:2]
    for file in kept:  # a mark, to see that it is read
        found = json.loads(file.read_text())
        file.write_text(json.dumps(found | {"result": found["result"] | {"return_mean": 7.0}}))
    marked = trained("marked")
    assert [record["return_mean"] == 7.0 for record in marked[0]] == [True, True, False, False]
    assert marked[1:] == alone[1:]
    trained("farther", "env.kwargs.max_primitive_steps=16")
    assert len(list(cache.iterdir())) == 4


def key(*words: str, change=None):
    config = composed("config", "model=tiny_random", *words)
    make_env = parts.environment(config.env)
    agent = parts.agent(config, make_env)
    if change:
        change(agent)
    return key_of(agent, config)


def own_norm(text, num_tokens):
    return num_tokens


def reword(agent):
    agent.policy_head = type("Reworded", (Words,), {})()


def disturb(agent):
    next(weight for name, weight in agent.lm.named_parameters() if "lora_B" in name).data.fill_(0.1)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (["baseline=ppo"], None),
        (["policy_head=actions"], None),
        ([], reword),
        ([], disturb),
        ([f"norm._target_={__name__}.own_norm"], None),
    ],
    ids=["another agent", "a head with weights of the seed", "another head", "trained", "code from outside"],
)
def test_what_may_differ_between_runs_is_not_shared(words, change):
    assert key(*words, change=change) is None


def test_the_key_says_what_the_policy_depends_on():
    own = key()
    assert own == key("ppo.learning_rate=1", "total_steps=5", "value_head.hidden_sizes=[8]", "env.task=lettuce_salad")
    assert own["policy"]["norm"] != key("norm=token")["policy"]["norm"]
    assert own["model_checksum"] != key("seed=1")["model_checksum"]
    assert len({json.dumps(key(*words), sort_keys=True) for words in ([], ["tuning=full"], ["tuning.rank=2"])}) == 3
    assert own["text"] != key(change=lambda agent: agent.language_model.tokenizer.add_tokens(["ladle"]))["text"]
    assert key("baseline=random").keys() == {"policy", "code"}
    assert key_of(type("Heuristic", (RandomAgent,), {})(), composed("config")) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kwargs": {"sizes": [1, 2]}, "_target_": "twosome.language.norms.word"}, True),
        ({"prompt": "mine:words"}, False),
        ({"parts": [{"_target_": "mine.words"}]}, False),
        ({"trust_remote_code": True}, False),
    ],
)
def test_options_that_name_code_from_outside_are_found(options, expected):
    assert names_own_code(options) is expected


def test_an_environment_from_outside_is_played_each_time(cache):
    gymnasium.register("elsewhere/Maze-v0", f"{__name__}:Maze")
    env = composed("config").env
    for name, times in ((env.id, 1), ("elsewhere/Maze-v0", 2)):
        played = []
        for _ in range(2):
            once({"policy": name}, OmegaConf.merge(env, {"id": name}), {}, lambda played=played: played.append(1) or {})
        assert len(played) == times


@pytest.mark.parametrize("damage", [None, "{", '{"key": 3}', "[]"])
def test_a_result_is_computed_once_and_again_where_the_file_is_damaged(damage, cache):
    computed = []
    for attempt in range(3):
        assert cached("episodes", {"a": 1}, lambda: computed.append(1) or {"x": 0.1}) == {"x": 0.1}
        if damage and attempt == 0:
            next(cache.iterdir()).write_text(damage)
    assert len(computed) == (2 if damage else 1)


def test_without_a_home_folder_a_result_is_computed(monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(storage, "cache_root", nowhere)
    assert cached("episodes", {}, lambda: 3) == 3


def test_a_result_that_cannot_be_kept_is_there_all_the_same(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TWOSOME_CACHE", str(tmp_path / "file"))
    assert cached("episodes", {}, lambda: 3) == 3
    assert capsys.readouterr().err.startswith(f"note: TWOSOME_CACHE={tmp_path / 'file'}: cannot keep results")


def test_before_training_is_where_the_run_began(tmp_path):
    """With init these are the weights of that run: both agents of suite=unseen have them, as the run's own record does."""
    first = twosome.run(*OPTIONS.split(), folder=tmp_path / "first").folder
    second = twosome.run(*OPTIONS.split(), f"init={first}", "seed=1", "model.seed=0", folder=tmp_path / "second").folder
    own = {folder: load_file(folder / "adapter" / WEIGHTS) for folder in (first, second)}
    found = {}
    for when, agent in stages(evaluate.finished(composed("evaluate", f"run={second}"))):
        if when != "random":
            found[when] = sorted(float(weight.abs().sum()) for weight in agent.language_model.learned())
    for when, folder in (("before", first), ("after", second)):
        assert found[when] == pytest.approx(sorted(float(weight.abs().sum()) for weight in own[folder].values()))
    assert found["before"] != found["after"]
