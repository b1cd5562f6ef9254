"""TextWorld: episodes are those of TextWorld played directly, games are generated whole and split by content, and words."""

import importlib.util
import json
import sys
from functools import cache
from inspect import signature
from typing import Any

import gymnasium
import numpy as np
import pytest
import textworld
from composing import compose
from omegaconf import OmegaConf
from test_worlds import KEYS, check_words
from worlds import make

from twosome.envs import check_env
from twosome.envs.textworld import games
from twosome.envs.textworld.env import TextWorldEnv
from twosome.envs.textworld.games import DEFAULTS, FREE_VERBS, Game, find_games, load, settings_of, with_articles, write_game
from twosome.envs.textworld.prompts import PROMPTERS, Situation, first_answer, one_line
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError

HUNT: dict[str, Any] = {"task": "treasure_hunter", "settings": {"treasure_hunter": {"level": 12}}, "num_games": 2}
PANELS: dict[str, dict[str, Any]] = {"treasure_hunter": HUNT, "cooking": {"task": "cooking", "num_games": 1}}
"""Small panels, which are generated once into the suite's cache."""
tasks = pytest.mark.parametrize("task", PANELS)


@cache
def world(task: str, split: str = "train", **options: Any) -> TextWorldEnv:
    return make("TextWorld", **(PANELS[task] | {"split": split} | options))


def direct(game: Game) -> tuple[textworld.Environment, textworld.GameState]:
    """The game played by TextWorld alone, at its start."""
    request = {name: True for name in ("description", "inventory", "facts", "score", "max_score", "admissible_commands")}
    env = textworld.start(game.path, textworld.EnvInfos(**request))
    return env, env.reset()


def plain(text: str) -> str:
    """A text without TextWorld's headings, signs and lines."""
    return "".join(letter for letter in text if letter.isalnum())


@tasks
def test_episodes_are_those_of_textworld_played_directly(task):
    rng, env = np.random.default_rng(0), world(task)
    endings = set()
    for seed in range(8):
        obs, info = env.reset(seed=seed)
        emulator, state = direct(env.game)
        plan, score, over = env.demonstration(), 0, False
        while not over:
            assert plain(info["prompt"]).startswith(plain(state.description) + plain(state.inventory))
            assert {name for name, bit in zip(env.observation_names, obs, strict=True) if bit} == {
                f"{fact.name}({', '.join(each.name for each in fact.arguments)})" for fact in state.facts
            }
            admissible = [command for command in state.admissible_commands if command.split()[0] not in FREE_VERBS]
            assert [env.action_names[action] for action in info["action_ids"]] == admissible
            choices = info["action_ids"] if rng.random() < 0.9 else env.action_space.n  # also such as are not admissible
            action = plan.pop(0) if seed == 0 else rng.choice(choices)
            state, _, done = emulator.step(env.action_names[action])
            obs, reward, terminated, truncated, info = env.step(action)
            assert (terminated, info["success"]) == (done, state.won)
            assert reward == pytest.approx((state.score - score) / state.max_score)
            assert plain(info["prompt"].split('"')[-1]).startswith(plain(state.feedback.split("=-")[0].split("\n\n\n")[0])[:20])
            score, over = state.score, terminated or truncated
        endings.add((seed == 0, terminated and ("won" if state.won else "lost")))
        emulator.close()
    assert (True, "won") in endings
    assert (False, "lost") in endings


@tasks
def test_the_walkthrough_wins_every_game_by_admissible_commands(task):
    for split in ("train", "test"):
        env, won = world(task, split), set()
        for seed in range(20):
            _, info = env.reset(seed=seed)
            if env.game.path in won:
                continue
            total = 0.0
            for action in env.demonstration():
                assert action in info["action_ids"]
                _, reward, terminated, _, info = env.step(action)
                total += reward
            assert terminated
            assert info["success"]
            assert total == pytest.approx(1)
            won.add(env.game.path)
        assert len(won) == PANELS[task]["num_games"]


def test_what_is_known_is_not_played_again_and_what_is_new_is_the_same():
    first, second = (make("TextWorld", **HUNT) for _ in range(2))
    rng, actions = np.random.default_rng(3), list[int]()
    _, info = first.reset(seed=5)
    infos = [info]
    for _ in range(6):
        actions.append(rng.choice(info["action_ids"]))
        *_, info = first.step(actions[-1])
        infos.append(info)
    assert [second.reset(seed=5)[1], *(second.step(action)[-1] for action in actions)] == infos
    assert second._emulator is None
    for known in (5, 2, 4):  # the emulator goes on, starts again, starts again
        second.reset(seed=5)
        branch = [*actions[:known], *rng.integers(second.action_space.n, size=3)]
        reached = [second.step(action)[-1] for action in branch]
        first._panel.views.clear()
        first.reset(seed=5)
        assert [first.step(action)[-1] for action in branch] == reached


def test_a_restored_vector_goes_on_as_the_first():
    envs, resumed = (DecisionEnvs(lambda: make("TextWorld", **HUNT, max_primitive_steps=15), 2) for _ in range(2))
    decisions, rng = envs.reset(1), np.random.default_rng(1)
    for _ in range(22):
        decisions = envs.step([int(rng.choice(decision.action_ids)) for decision in decisions]).decisions
    again = resumed.restore(json.loads(json.dumps(envs.state())))
    assert [each.text for each in again] == [each.text for each in decisions]
    for _ in range(10):
        actions = [int(rng.choice(decision.action_ids)) for decision in decisions]
        one, other = envs.step(actions), resumed.step(actions)
        decisions = one.decisions
        assert [(each.text, each.obs.tolist()) for each in decisions] == [
            (each.text, each.obs.tolist()) for each in other.decisions
        ]
        assert (one.rewards.tolist(), one.episodes) == (other.rewards.tolist(), other.episodes)


def content(game: Game) -> tuple[Any, ...]:
    """What a game is made of, read by TextWorld."""
    emulator, state = direct(game)
    emulator.close()
    infos = state.game.infos
    facts = {(fact.name, *((infos[each.name].name or each.name) for each in fact.arguments)) for fact in state.game.world.facts}
    return frozenset(facts), game.goal


def test_no_game_is_twice_in_a_panel_or_in_both_splits():
    train, test = world("treasure_hunter"), world("treasure_hunter", "test")
    assert len({content(game) for env in (train, test) for game in env._games}) == 4
    assert (train.action_names, train.observation_names) == (test.action_names, test.observation_names)
    assert list(train.action_names) == sorted(set(train.action_names))
    for split in ("train", "test"):  # fewer games are the first of them
        few = make("TextWorld", **(HUNT | {"num_games": 1, "split": split}))
        assert few._games == world("treasure_hunter", split)._games[:1]


def test_a_panel_needs_as_many_different_games(monkeypatch, tmp_path):
    monkeypatch.setattr(games, "_generate", lambda *_: None)
    monkeypatch.setattr(games, "load", lambda folder: Game("", str(int(folder.name) % 4), "", [], 1, [], []))
    found = find_games(tmp_path, "simple", {}, 2)
    assert {split: [game.digest for game in each] for split, each in found.items()} == {"train": ["0", "2"], "test": ["1", "3"]}
    with pytest.raises(UserError, match=r"num_games=3: expected at most 2 with simple, which has no more different games"):
        find_games(tmp_path, "simple", {}, 3)


def test_a_game_is_written_whole_or_not_at_all(monkeypatch, tmp_path):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(games, "compile_game", killed)
        with pytest.raises(KeyboardInterrupt):
            write_game(tmp_path, "treasure_hunter", {"level": 1}, 3)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".3.1.part").mkdir()  # of a process that was killed at once
    write_game(tmp_path, "treasure_hunter", {"level": 1}, 3)
    assert sorted(path.name for path in (tmp_path / "3").iterdir()) == ["game.json", "game.z8", "index.json"]
    game = load(tmp_path / "3")
    monkeypatch.setattr(games, "_write_files", lambda folder, *_: (folder / "index.json").write_text("other"))
    write_game(tmp_path, "treasure_hunter", {"level": 1}, 3)  # by a slower process
    assert load(tmp_path / "3") == game
    assert sorted(path.name for path in tmp_path.iterdir()) == [".3.1.part", "3"]


def test_settings_that_textworld_refuses_are_one_line(tmp_path):
    with pytest.raises(UserError) as error:
        find_games(tmp_path, "treasure_hunter", settings_of("treasure_hunter", {"treasure_hunter": {"level": 31}}), 1)
    assert str(error.value) == (
        "settings.treasure_hunter={'level': 31}: TextWorld's generator says: Expected level to be within [1-30]."
    )


@tasks
def test_the_contract_is_kept_and_words_are_well_formed(task):
    env, rng = world(task), np.random.default_rng(0)
    check_env(env, steps=30)
    for seed in range(3):
        obs, info = env.reset(seed=seed)
        for _ in range(15):
            assert obs in env.observation_space
            assert set(info) == KEYS
            check_words(info | {"prompt": info["prompt"].replace("...", "")})  # TextWorld's prose hesitates
            obs, *_, terminated, truncated, info = env.step(rng.choice(info["action_ids"]))
            if terminated or truncated:
                break


def test_history_and_all_commands():
    whole = make("TextWorld", **HUNT, all_commands=True, history=2)
    _, info = whole.reset(seed=0)
    offered = {whole.action_names[action] for action in info["action_ids"]}
    assert {"look", "inventory"} < offered
    look, inventory = map(whole.action_names.index, ("look", "inventory"))
    for action in (look, inventory, look):
        *_, info = whole.step(action)
    assert info["prompt"].split(" After ")[1:] == [
        f'"inventory": {one_line(whole._view.inventory)}',
        f'"look": {info["prompt"].split(". ")[0]}. To {whole.mission}, you should first',
    ]
    none = make("TextWorld", **HUNT, history=0)
    _, info = none.reset(seed=0)
    assert "After" not in none.step(info["action_ids"][0])[-1]["prompt"]


SITUATION = Situation(
    "Kitchen. You are in a kitchen.",
    "You are carrying nothing.",
    [("go east", "Kitchen."), ("open fridge", "You open the fridge.")],
    "take the old key",
    ["go west", "put old key on table", "take half of a bag of chips from table"],
)
SCENE = (
    'Kitchen. You are in a kitchen. You are carrying nothing. After "go east": Kitchen. '
    'After "open the fridge": You open the fridge.'
)
WORDS = ("go west", "put the old key on the table", "take the half of a bag of chips from the table")


def test_prompts():
    assert set(PROMPTERS) == {"default", "no_cohesion", "no_articles", "no_context"}
    assert PROMPTERS["default"](SITUATION) == (f"{SCENE} To take the old key, you should first", WORDS)
    assert PROMPTERS["no_cohesion"](SITUATION) == (f"{SCENE} Your task is to take the old key.", WORDS)
    assert PROMPTERS["no_context"](SITUATION) == (f"{SCENE} You should first", WORDS)
    assert PROMPTERS["no_articles"](SITUATION)[1][1] == "put old key on table"


def test_textworlds_decorations_are_left_out():
    assert one_line("-= Spare Room =-\nYou are here.\n\n\n\nThere is a door.") == "Spare Room. You are here. There is a door."
    assert first_answer("\n\n-= Spare Room =-\nYou are here.\n\n\n> ") == "Spare Room."
    assert first_answer("\nYou open the box,\nrevealing a key.\n\n\nYour score has just gone up.\n> ") == (
        "You open the box, revealing a key."
    )
    assert [with_articles(each) for each in ("look", "go east", "cook egg with stove", "insert egg into fridge")] == [
        "look", "go east", "cook the egg with the stove", "insert the egg into the fridge"
    ]  # fmt: skip


def test_pictures_and_text_show_the_state():
    env = make("TextWorld", **HUNT, render_mode="rgb_array")
    _, info = env.reset(seed=0)
    before = env.render()
    env.step(info["action_ids"][0])
    assert before.shape == (464, 464, 3)
    assert (env.render() != before).any()
    assert env.mission == env.game.goal
    text = make("TextWorld", **HUNT, render_mode="ansi")
    _, info = text.reset(seed=0)
    text.step(info["action_ids"][0])
    assert text.render().startswith(f"> {text.action_names[info['action_ids'][0]]}\n\n")


def test_the_yaml_has_the_defaults_of_the_class():
    config = OmegaConf.to_container(compose("env=textworld").env)
    options = {name: each.default for name, each in signature(TextWorldEnv).parameters.items() if name != "render_mode"}
    given = {**config["kwargs"], "task": config["task"], "prompt": config["prompt"]}
    assert given == options | {"settings": DEFAULTS}


def test_without_textworld_one_line_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("twosome.envs.textworld")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"^env=textworld: expected the package textworld: pip install textworld==1\.7\.0$"):
        gymnasium.make("twosome/TextWorld-v0")
