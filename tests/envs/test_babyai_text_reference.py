"""The environment is the reference's: all recorded episodes replay exactly, from their seeds."""

from collections import deque
from typing import Any

import gymnasium
import minigrid  # noqa: F401 - registers its levels
import pytest
from minigrid.envs.babyai.core.verifier import AndInstr, BeforeInstr, GoToInstr, Instr, ObjDesc, OpenInstr, PickupInstr, SeqInstr
from minigrid.minigrid_env import MiniGridEnv
from worlds import DATA, records, room

from twosome.envs.babyai_text.prompts import ENGLISH, PROMPTERS, Situation
from twosome.envs.babyai_text.view import describe

FILES = sorted(path.name.partition(".")[0].removeprefix("babyai_text_") for path in DATA.glob("babyai_text_*"))

TESTED = {"goto": "go_to", "pickup": "pick_up", "open": "unlock", "putnext": "put_next_to", "pick up seq go to": "pick_up_go_to"}
STATES = {(False, False): "closed", (True, False): "open", (False, True): "locked"}


def options(record: dict[str, Any]) -> dict[str, Any]:
    """The environment's options for the level of a record."""
    found: dict[str, Any] = {"task": record["level"], "num_actions": len(record["actions"])}
    if record["level"] == "mixed_test":
        found |= {"task": TESTED[record["reference_env"].partition("(")[2][:-1]], "split": "test"}
    if record["level"] == "go_to_local":
        found["num_objects"] = len(record["initial"]["objects"])
    return found


def words(instruction: Instr) -> list[Any]:
    """An instruction as records have it."""
    if isinstance(instruction, SeqInstr):
        name = "before" if isinstance(instruction, BeforeInstr) else "and" if isinstance(instruction, AndInstr) else "after"
        return [name, words(instruction.instr_a), words(instruction.instr_b)]
    kinds = {GoToInstr: "go to", PickupInstr: "pick up", OpenInstr: "open"}
    found = [kinds.get(type(instruction), "put next to")]
    places = ("desc", "desc_move", "desc_fixed")
    described: list[ObjDesc] = [getattr(instruction, place) for place in places if hasattr(instruction, place)]
    return found + [{"type": each.type, "color": each.color} for each in described]


def things(level: MiniGridEnv) -> list[tuple[Any, int, int]]:
    """The objects and doors on a level's grid with their places, row by row."""
    cells = [(level.grid.get(x, y), x, y) for y in range(level.height) for x in range(level.width)]
    return [each for each in cells if each[0] is not None and each[0].type != "wall"]


class Replay:
    """A level whose states are compared with a record's."""

    def __init__(self, record: dict[str, Any], level: MiniGridEnv) -> None:
        self.level, self.record = level, record
        self.numbers = {id(thing): number for number, (thing, _, _) in enumerate(things(level))}
        self.kept = [thing for thing, _, _ in things(level)]  # so that no id is used again
        self.check_level()
        self.check(record["initial"])

    def check_level(self) -> None:
        level, record = self.level, self.record
        walls = [[thing is not None and thing.type == "wall" for thing in row] for row in self.rows()]
        assert walls == [[cell == "#" for cell in row] for row in record["map"]]
        assert (level.width, level.height, level.max_steps) == (record["width"], record["height"], record["H"])
        assert (level.mission, words(level.instrs)) == (record["mission"], record["instruction"])

    def rows(self) -> list[list[Any]]:
        return [[self.level.grid.get(x, y) for x in range(self.level.width)] for y in range(self.level.height)]

    def check(self, state: dict[str, Any]) -> None:
        level = self.level
        assert [*map(int, level.agent_pos), level.agent_dir] == state["agent"]
        carrying = level.carrying
        assert (carrying and [self.numbers[id(carrying)], carrying.type, carrying.color]) == state["carrying"]
        found = [
            [self.numbers[id(each)], each.type, each.color, x, y,
             STATES[each.is_open, each.is_locked] if each.type == "door" else None]
            for each, x, y in things(level)
        ]  # fmt: skip
        assert sorted(found) == sorted(state["objects"])
        assert level.step_count == state["step_count"]


@pytest.mark.parametrize("name", [name for name in FILES if name != "rooms"])
def test_records_replay(name):
    episodes = records(f"babyai_text_{name}")
    assert len(episodes) == (40 if name == "mixed_test" else 32)
    for record in episodes:
        env = room(**options(record))
        _, info = env.reset(seed=record["seed"])
        for _ in range(record["reset_index"]):
            _, info = env.reset()
        replay = Replay(record, env.level)
        compare(info, record["initial"], record)
        for step in record["steps"]:
            _, reward, terminated, truncated, info = env.step(step["action"])
            replay.check(step)
            assert (reward, terminated or truncated) == (step["reward"], step["done"])
            compare(info, step, record)
        assert info["success"] == terminated == record["success"]


def compare(info: dict[str, Any], state: dict[str, Any], record: dict[str, Any]) -> None:
    assert info["descriptions"] == state["descriptions"]
    assert info["mission"] == record["mission"]
    assert list(info["action_prompts"]) == record["actions"]
    if state["prompt"] is not None:  # which the records do not have at an episode's end
        assert info["prompt"] + " " == state["prompt"]


def test_records_of_levels_with_doors_and_many_rooms_replay():
    """minigrid's own levels with the suite's texts, which know doors in all states."""
    episodes = records("babyai_text_rooms")
    assert len(episodes) == 20
    for record in episodes:
        level = gymnasium.make(record["reference_env"]).unwrapped
        level.reset(seed=record["seed"])
        for _ in range(record["reset_index"]):
            level.reset()
        replay = Replay(record, level)
        observations: deque[tuple[str, ...]] = deque(maxlen=3)
        actions: deque[int] = deque(maxlen=2)
        for number, state in enumerate([record["initial"], *record["steps"]]):
            if number:
                _, reward, terminated, truncated, _ = level.step(state["action"])
                actions.append(state["action"])
                replay.check(state)
                assert (reward, terminated or truncated) == (state["reward"], state["done"])
            view = list(map(tuple, level.gen_obs()["image"].reshape(-1, 3).tolist()))
            observations.append(describe(view, level.carrying, ENGLISH))
            assert list(observations[-1]) == state["descriptions"]
            prompt, _ = PROMPTERS["default"](Situation(ENGLISH, level.mission, 6, tuple(observations), tuple(actions)))
            assert state["prompt"] in (None, f"{prompt} ")
