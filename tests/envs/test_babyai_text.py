"""BabyAI-Text: levels, splits, the bot, prompts and their wordings, French, the mixture of tasks."""

import numpy as np
import pytest
from worlds import room

from twosome.envs.babyai_text.prompts import FRENCH, PROMPTERS
from twosome.envs.babyai_text.tasks import MIXTURE, SINGLE
from twosome.envs.babyai_text.view import VOCABULARY
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError

LIMITS = {"go_to": 64, "pick_up": 64, "go_to_local": 64, "go_to_french": 64}  # otherwise 128
HELD_OUT = ("yellow box", "red key", "red door", "green ball", "grey door")
ACTIONS = ("turn left", "turn right", "go forward", "pick up", "drop", "toggle", "sleep", "do nothing", "think")


def world(level):
    """All that actions can change."""
    carrying = level.carrying
    return (*map(int, level.agent_pos), level.agent_dir, id(carrying) if carrying else None, level.grid.encode().tobytes())


@pytest.mark.parametrize("task", SINGLE)
def test_affordances_are_what_happens_and_the_mission_is_observed(task):
    env, rng = room(task=task, num_actions=9), np.random.default_rng(1)
    for seed in range(3):
        obs, info = env.reset(seed=seed)
        words = [VOCABULARY[int(token) - 1] for token in obs[147:] if token]
        assert words == info["mission"].replace(",", "").split()
        ended = False
        while not ended:
            assert (obs[:147].reshape(7, 7, 3) == env.level.gen_obs()["image"]).all()
            before, affordances, action = world(env.level), info["affordances"], int(rng.integers(9))
            obs, reward, terminated, truncated, info = env.step(action)
            assert (world(env.level) != before) == affordances[action]
            steps, limit = info["primitive_steps"], LIMITS.get(task, 128)
            assert truncated == (steps >= limit and not terminated)
            assert reward == (1 - 0.9 * steps / limit if info["success"] else 0)
            ended = terminated or truncated


@pytest.mark.parametrize(("task", "split"), [(task, "train") for task in SINGLE] + [(task, "test") for task in MIXTURE])
def test_demonstrations_succeed_in_both_splits_and_change_nothing(task, split):
    options = {"task": task, "split": split, "reward_scale": 20, "render_mode": "ansi"}
    env, plain = room(**options), room(**options)
    for seed in (3, None, None):
        _, info = env.reset(seed=seed)
        plain.reset(seed=seed)
        if SINGLE[task].holds_out:
            held_out = sum(info["mission"].count(words) for words in HELD_OUT)
            assert held_out == (0 if split == "train" else SINGLE[task].targets)
        actions = env.demonstration()
        assert env.render() == plain.render()
        assert env.np_random.bit_generator.state == plain.np_random.bit_generator.state
        for number, action in enumerate(actions, start=1):
            _, reward, terminated, truncated, info = env.step(action)
            assert (terminated or truncated) == (number == len(actions))
        assert terminated
        assert reward == pytest.approx(20 * (1 - 0.9 * info["primitive_steps"] / LIMITS.get(task, 128)))


def test_environments_side_by_side_demonstrate_their_own_episodes():
    envs = DecisionEnvs(lambda: room(task="go_to"), 3)
    envs.reset(0)
    assert envs.demonstrations([0, 2]) == {number: envs.players[number].env.demonstration() for number in (0, 2)}
    few = room(task="go_to_local", num_actions=3)
    few.reset(seed=0)
    with pytest.raises(UserError, match=r"env\.kwargs\.num_actions=3: expected 6 or 9 for BabyAI's bot"):
        few.demonstration()


def test_a_seed_begins_a_sequence_of_levels():
    env, other = room(task="unlock"), room(task="unlock")
    first = [env.reset(seed=5)[1], env.reset()[1], env.reset()[1]]
    other.reset(seed=6)
    assert [other.reset(seed=5)[1], other.reset()[1], other.reset()[1]] == first
    assert len({info["prompt"] for info in first}) == 3


def test_options_of_the_level():
    env = room(task="unlock", room_size=6, num_objects=3)
    env.reset(seed=0)
    assert (env.level.width, env.level.height, env.level.max_steps) == (11, 6, 72)
    assert sum(thing is not None and thing.type != "wall" for thing in env.level.grid.grid) == 5  # with key and door
    assert room(task="go_to_local", num_actions=3).action_space.n == 3


def test_the_prompt_has_as_much_of_the_episode_as_asked_for():
    prompts = {}
    for name, history in {"one": (1, None), "two": (2, 0), "four": (4, 2)}.items():
        env = room(task="go_to", past_observations=history[0], past_actions=history[1])
        _, info = env.reset(seed=3)
        head = info["prompt"].partition("Observation 0")[0]
        seen = [info["descriptions"]]
        for action in (1, 0, 3, 4):
            info = env.step(action)[4]
            seen.append(info["descriptions"])
        prompts[name] = info["prompt"].removeprefix(head)
    texts = ["".join(f"{sentence}, " for sentence in sentences) for sentences in seen]
    assert prompts["one"] == f"Observation 0: {texts[4]}\n Action 0:"
    assert prompts["two"] == f"Observation 0: {texts[3]}\n Observation 1: {texts[4]}\n Action 1:"
    assert prompts["four"] == (
        f"Observation 0: {texts[1]}\n Observation 1: {texts[2]}\n Action 1: pick up \n Observation 2: {texts[3]}\n "
        f"Action 2: drop \n Observation 3: {texts[4]}\n Action 3:"
    )
    assert "Observation 1" not in env.reset()[1]["prompt"]


def test_pictures_and_text():
    env = room(task="unlock", render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert (first.shape, first.dtype) == ((256, 480, 3), np.uint8)
    env.step(0)
    assert (env.render() != first).any()
    text = room(task="go_to", render_mode="ansi")
    _, info = text.reset(seed=0)
    lines = text.render().splitlines()
    assert (lines[0], lines[-1], len(lines)) == (info["mission"], "hand: -", 10)


@pytest.mark.parametrize("name", PROMPTERS)
def test_exchanged_words_are_gone_and_actions_stay(name):
    def decision(prompt):
        env = room(task="pick_up_go_to", prompt=prompt, num_actions=9)
        env.reset(seed=4)
        return env.step(2)[4]

    default, found, wording = decision("default"), decision(name), PROMPTERS[name]
    words = (*wording.actions, *ACTIONS[len(wording.actions) :])
    assert found["action_prompts"] == words
    assert found["prompt"].startswith(f"Possible action of the agent: {', '.join(words)} \n ")
    assert f" \n Action 0: {words[2]} \n Observation 1" in found["prompt"]
    expected = default["prompt"]
    for word, other in wording.replace.items():
        assert not any(each in other for each in wording.replace)  # so that their order does not matter
        expected = expected.replace(word, other)
        assert word not in found["prompt"]
    if not wording.actions:
        assert found["prompt"] == expected
    assert found["descriptions"] == default["descriptions"]


def test_synonyms_of_actions_that_are_not_offered_are_left_out():
    _, info = room(task="go_to", prompt="action_synonyms", num_actions=3).reset(seed=0)
    assert info["action_prompts"] == ("rotate left", "rotate right", "move ahead")


def test_french_as_in_the_reference():
    """What the recorded French level does not have, or seldom."""
    assert FRENCH.goal("go to the blue key") == "aller à la clef bleue"
    assert FRENCH.goal("go to a grey box") == "aller à une boîte grise"
    assert FRENCH.goal("go to the red ball") == "aller à une balle rouge"  # the reference looks for any letter a
    assert FRENCH.thing("door", "red", "locked", -2, 1) == "Tu vois une porte rouge fermée à clef 2 pas à gauche et 1 pas devant"
    assert FRENCH.carry("ball", "green") == "Tu portes une ball green"
    assert FRENCH.wall(3, 0) == "Tu vois un mur à 3 pas à droite"


def mixture(count, own=None, **options):
    envs = DecisionEnvs(lambda: room(task="mixed", num_objects=4, room_size=6, **options), count, own=own)
    envs.reset(seed=count)
    return envs


def tasks(envs):
    return [player.episode.task for player in envs.players]


def test_tasks_of_the_mixture_are_assigned_in_turn_or_drawn_and_kept():
    names, envs = list(MIXTURE), mixture(7)
    assert tasks(envs) == [*names, "go_to", "pick_up"]
    for _ in range(80):  # more than an episode
        assert all(episode.task == names[episode.env % 5] for episode in envs.step([0] * 7).episodes)
    assert tasks(envs) == [*names, "go_to", "pick_up"]
    assert tasks(mixture(7, own=range(4, 7))) == ["unlock", "go_to", "pick_up"]  # another process's
    drawn = tasks(mixture(40, mixture_seed=3))
    assert set(drawn) == set(MIXTURE)
    assert drawn[:12] == tasks(mixture(12, mixture_seed=3)) != tasks(mixture(12, mixture_seed=4))
