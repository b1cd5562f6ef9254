"""Sokoban: the rules in rooms drawn by hand, drawn rooms, shortest solutions, the words."""

from functools import partial

import numpy as np
import pytest
from worlds import make

from twosome.envs.optimum import OptimalPlay, optimal_return
from twosome.envs.sokoban.prompts import PROMPTERS
from twosome.envs.sokoban.render import write
from twosome.envs.sokoban.room import DIRECTIONS, Room, State, draw_room, shortest_solution
from twosome.errors import UserError

sokoban = partial(make, "Sokoban")
UP, DOWN, LEFT, RIGHT = range(4)


def room(*rows: str) -> State:
    """The state that rows inside the outer wall show, in the letters of `render.write`; `_` is empty floor."""
    size = len(rows) + 2
    letters = "".join(("#" * size, *(f"#{row}#" for row in rows), "#" * size))

    def cells(kinds: str) -> frozenset[int]:
        return frozenset(cell for cell, letter in enumerate(letters) if letter in kinds)

    (player,) = cells("@+")
    return State(Room(size, cells("_@+$*."), cells("+*.")), player, cells("$*"))


def phrases(state: State, prompt: str) -> tuple[str, ...]:
    return PROMPTERS[prompt](state)[1]


@pytest.mark.parametrize(
    ("action", "before", "following"),
    [
        (DOWN, room("@$_", "_._", "___"), room("_$_", "@._", "___")),
        (RIGHT, room("@$_", "_._", "___"), room("_@$", "_._", "___")),
        (LEFT, room("_$@", "_._", "___"), room("$@_", "_._", "___")),
        (UP, room("___", "_*_", "_@_"), room("_$_", "_+_", "___")),
        (DOWN, room("+__", "$__", "___"), room(".__", "@__", "$__")),
        (RIGHT, room("@*.", "_$_", "___"), room("_+*", "_$_", "___")),
    ],
)
def test_a_step_moves_or_pushes(action, before, following):
    env = sokoban()
    assert action in env.admissible(before)
    assert env.transition(before, action).state == following


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (UP, room("@$_", "_._", "___")),  # against the outer wall
        (RIGHT, room("@#_", "_._", "_$_")),  # against a wall inside
        (RIGHT, room("_@$", "_._", "___")),  # a box before the outer wall
        (RIGHT, room("@$#", "_._", "___")),  # a box before a wall inside
        (RIGHT, room("@$$", "_..", "___")),  # a box before a box
    ],
)
def test_what_is_blocked_changes_nothing_and_is_not_admissible(action, state):
    env = sokoban()
    assert action not in env.admissible(state)
    assert env.transition(state, action) == (state, -0.1, 1, False)


ON, OFF, ACROSS = room("@$.", "$_.", "___"), room("@*_", "$_.", "___"), room("@*.", "$__", "___")
LAST = room("@$.", "_*_", "___")


def test_rewards_are_those_of_the_literature_and_options():
    env = sokoban(task="two_boxes")
    rewards = [env.transition(state, RIGHT).reward for state in (ON, OFF, ACROSS, LAST)]
    assert rewards == pytest.approx([0.9, -1.1, -0.1, 10.9])
    assert [env.transition(state, RIGHT).terminated for state in (ON, OFF, ACROSS, LAST)] == [False, False, False, True]
    env = sokoban(step_penalty=0.0, on_target_reward=0.25, off_target_penalty=-0.5, solved_reward=1.0)
    assert [env.transition(state, RIGHT).reward for state in (ON, OFF, ACROSS, LAST)] == [0.25, -0.5, 0.0, 1.25]


def test_shortest_solutions():
    around = room("@_$.", "____", "____", "____"), room("@.$_", "####", "____", "____")
    assert shortest_solution(around[0], 2) == [RIGHT, RIGHT]
    assert shortest_solution(around[0], 1) is None
    assert shortest_solution(around[1], 99) is None  # the player cannot get to the box's right
    assert shortest_solution(room("___", "_$.", "__@"), 9) == [LEFT, LEFT, UP, RIGHT]
    assert shortest_solution(room("$_.", "@__", "___"), 99) is None  # in a corner


@pytest.mark.parametrize("options", [{}, {"task": "two_boxes", "min_steps": 8, "max_primitive_steps": 20}, {"size": 8}])
def test_every_room_has_a_solution_within_the_limits(options):
    env, seen = sokoban(**options), set()
    for number in range(100 if options else 200):
        _, info = env.reset(seed=None if number else 3)
        state, solution = info["state"], env.demonstration()
        assert not state.boxes & state.room.targets
        assert options.get("min_steps", 1) <= len(solution) <= options.get("max_primitive_steps", 15)
        ends = [env.step(action)[2:4] for action in solution]
        assert ends == [(False, False)] * (len(solution) - 1) + [(True, False)]
        seen.add(state)
    assert len(seen) > 95


def test_an_episode_is_truncated_at_the_limit_unless_its_last_step_solves_it():
    env = sokoban(max_primitive_steps=4, min_steps=4)
    _, info = env.reset(seed=0)
    *most, last = env.demonstration()
    for action in most:
        *_, info = env.step(action)
    other = next(each for each in info["action_ids"] if each != last)
    before = info["state"]
    *_, terminated, truncated, info = env.step(other)
    assert (terminated, truncated, info["success"]) == (False, True, False)
    assert env.transition(before, last).terminated


def test_splits_have_no_layout_in_common_and_a_number_of_rooms_is_kept():
    layouts = {}
    for split in ("train", "test"):
        random = np.random.default_rng(0)
        layouts[split] = {draw_room(random, 5, 1, split, 1, 15).room for _ in range(300)}
    assert min(map(len, layouts.values())) > 50  # of so small rooms there are few, which both would draw
    assert not layouts["train"] & layouts["test"]
    env = sokoban(num_rooms=5)
    drawn = [env.reset(seed=seed)[1]["state"] for seed in range(60)]
    assert {(0.2, state) for state in drawn} == set(env.initial_states)
    assert len(set(drawn)) == 5
    assert not set(drawn) & {sokoban(num_rooms=5, split="test").reset(seed=seed)[1]["state"] for seed in range(20)}


def test_optimal_play_is_a_shortest_solution_and_its_return_the_mean_over_rooms():
    env = sokoban(num_rooms=4)
    play, returns = OptimalPlay(env, 0.99), []
    for _, start in env.initial_states:
        state, steps = start, 0
        while not state.solved:
            state, steps = env.transition(state, play.action(state)).state, steps + 1
        assert steps == len(shortest_solution(start, 15))
        returns.append(sum(-0.1 * 0.99**step for step in range(steps)) + 11 * 0.99 ** (steps - 1))
    assert optimal_return(lambda: env, 0.99) == pytest.approx(np.mean(returns))
    assert optimal_return(sokoban, 0.99) is None


def test_options_without_rooms_are_one_line(monkeypatch):
    monkeypatch.setattr("twosome.envs.sokoban.room.MAX_DRAWS", 50)
    with pytest.raises(UserError, match="min_steps=40: expected options for which rooms are found; in 50 draws none"):
        sokoban(min_steps=40, max_primitive_steps=40).reset(seed=0)


def test_the_observation_is_four_planes_of_the_inside():
    env = sokoban(size=5)
    obs, info = env.reset(seed=0)
    rows = write(info["state"]).split("\n")
    planes = [[letter in kinds for row in rows[1:-1] for letter in row[1:-1]] for kinds in ("#", "+*.", "$*", "@+")]
    assert obs.reshape(4, 9).tolist() == planes


def test_the_prompt_tells_places_and_walls():
    prompt, words = PROMPTERS["default"](room("@__#", "_$__", "___.", "#___"))
    assert prompt == (
        "The box is 1 step down and 1 step right from you and has to go 1 step down and 2 steps right. The target is 2 steps "
        "down and 3 steps right from you. Next to you, walls are up and left. To push the box onto the target, you should first"
    )
    assert words == ("step down", "step right")
    prompt, words = PROMPTERS["default"](room("_$__", "_+__", "$*__", "____"))
    assert prompt == (
        "A box is 1 step up from you and has to go 1 step down to the nearest free target. A box on a target is 1 step down from "
        "you. A box is 1 step down and 1 step left from you and has to go 1 step up and 1 step right to the nearest free target. "
        "You stand on a free target. Next to the box 1 step up from you, a wall is up. Next to the box 1 step down and 1 step "
        "left from you, a wall is left. You cannot push the box up. To push every box onto a target, you should first"
    )
    assert words == ("push the box down", "step left", "step right")


@pytest.mark.parametrize(
    ("state", "action", "words"),
    [
        (room("@$.", "___", "___"), RIGHT, "push the box right onto the target"),
        (room("_.@", "_$_", "___"), LEFT, "step left onto the target"),
        (room("___", "_*@", "___"), LEFT, "push the box left off the target against a wall"),
        (room("@$_", "_._", "___"), RIGHT, "push the box right into a corner"),
        (room("@$__", "_.__", "____", "____"), RIGHT, "push the box right"),
        (room("@*.", "_$_", "___"), RIGHT, "push the box right off a target onto another"),
    ],
)
def test_explicit_phrases_name_what_is_left_and_reached(state, action, words):
    said = dict(zip(sokoban().admissible(state), phrases(state, "explicit"), strict=True))
    assert said[action] == words
    plain = dict(zip(sokoban().admissible(state), phrases(state, "no_adaptation"), strict=True))
    assert plain[action] == f"go {DIRECTIONS[action]}"
    assert PROMPTERS["explicit"](state)[0] == PROMPTERS["default"](state)[0]


def test_pictures_tell_states_apart():
    env = sokoban(render_mode="rgb_array")
    env.reset(seed=0)
    pictures = [env.render()]
    for action in env.demonstration():
        env.step(action)
        pictures.append(env.render())
    assert (pictures[0].shape, pictures[0].dtype) == ((432, 432, 3), np.uint8)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures) > 1
