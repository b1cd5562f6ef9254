"""Macro-actions: walk a shortest path to something and use it.

A macro-action is a plan: its primitive actions are computed before the first one. The plan uses only what the agent knows. The
agent remembers where it last saw each object. This memory is always correct, since only the agent moves objects, within its
sight, and a wrong delivery returns objects to their known initial places. There is one exception: the agent does not remember
that a food is in a bowl out of sight. It walks towards it and stops when it sees the bowl.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from typing import Final, NamedTuple

from twosome.envs.overcooked.kitchen import (
    BOWL,
    HAND,
    MOVES,
    STAY,
    Cell,
    Kitchen,
    State,
    apply,
    held_item,
    is_chopped,
    item_at,
    position,
)

Plan = tuple[int, ...]
WAIT: Plan = (STAY,)
# Together with the tie-breaking in _Entry, this order decides which of several shortest paths is walked.
SEARCH_ORDER = (0, 2, 1, 3)  # right, left, down, up

IDLE: Final = (
    *("sleep", "do nothing", "think"),  # GLAM's (Carta et al. 2023); the others are in the same manner
    *("wait", "rest", "relax", "breathe", "blink", "yawn", "sigh", "smile", "frown", "laugh", "nod", "shrug", "stretch"),
    *("hum", "whistle", "sing", "whisper", "talk", "listen", "wonder", "remember", "daydream", "meditate", "dance", "hop"),
    *("clap", "wave", "stand still", "look around", "turn around", "count to ten", "close your eyes", "hold your breath"),
    *("tap your foot", "scratch your head", "fold your arms", "tell a joke", "recite a poem", "make a wish", "take a nap"),
    *("admire the view", "plan the day"),
)
"""The words of the actions that do nothing (option `idle_actions`), in the order in which they are added."""


class MacroAction(NamedTuple):
    """A macro-action. verb: get, go_to_board, deliver, chop or idle. target: the item of get, the board number of go_to_board."""

    name: str
    verb: str
    target: int = 0


@lru_cache(maxsize=64)
def macro_actions(kitchen: Kitchen) -> tuple[MacroAction, ...]:
    """Return the macro-actions of a kitchen, by id. All of them can always be chosen."""
    gets = [MacroAction(f"get {name}", "get", item) for item, name in enumerate((*kitchen.foods, "bowl"))]
    boards = [MacroAction(f"go to board {i + 1}", "go_to_board", i) for i in range(len(kitchen.boards))]
    idle = [MacroAction(words, "idle") for words in IDLE[: kitchen.idle_actions]]
    return (*gets, *boards, MacroAction("deliver", "deliver"), MacroAction("chop", "chop"), *idle)


def plan(kitchen: Kitchen, state: State, macro_action: MacroAction) -> Plan:
    """Return the primitive actions of a macro-action in a state, at least one."""
    if macro_action.verb == "idle":
        return WAIT
    if macro_action.verb == "get":
        return _plan_get(kitchen, state, macro_action.target)
    if macro_action.verb == "chop":
        board = unfinished_board(kitchen, state)
        path = () if board is None else find_path(kitchen, state.agent, board)
        return path * 3 or WAIT
    target = kitchen.delivery if macro_action.verb == "deliver" else kitchen.boards[macro_action.target]
    path = find_path(kitchen, state.agent, target)
    if held_item(state) is None:
        path = path[:-1]  # Stop in front of it, since there is nothing to put down.
    return path or WAIT


def execute(kitchen: Kitchen, state: State, macro_action: MacroAction) -> Iterator[tuple[State, int]]:
    """Yield the state and the event after each primitive step of a macro-action."""
    for action in plan(kitchen, state, macro_action):
        state, event = apply(kitchen, state, action)
        yield state, event


def unfinished_board(kitchen: Kitchen, state: State) -> Cell | None:
    """Return the board next to the agent with an unchopped food, or None."""
    for board in boards_in_reach(kitchen, state):
        item = item_at(state, board)
        if item is not None and item != kitchen.bowl and not is_chopped(state, item):
            return board
    return None


def boards_in_reach(kitchen: Kitchen, state: State) -> list[Cell]:
    """Return the boards that the agent stands in front of."""
    row, column = state.agent
    return [board for board in kitchen.boards if abs(board[0] - row) + abs(board[1] - column) == 1]


def _plan_get(kitchen: Kitchen, state: State, item: int) -> Plan:
    if state.places[item] == HAND:
        return WAIT
    cell = position(state, item)
    path = find_path(kitchen, state.agent, cell)
    if state.places[item] == BOWL:
        return _until_seen(kitchen, state, path, cell)
    if item == kitchen.bowl:
        return _plan_get_bowl(kitchen, state, path)
    unchopped_on_board = cell in kitchen.boards and not is_chopped(state, item)
    return (path[:-1] if unchopped_on_board else path) or WAIT


def _plan_get_bowl(kitchen: Kitchen, state: State, path: Plan) -> Plan:
    held = held_item(state)
    if held is None or not path:
        return path or WAIT
    if not is_chopped(state, held):
        return path[:-1] + WAIT
    # On a counter, the first step fills the bowl and the second takes it. On a board, the first step does both.
    return path + (WAIT if state.places[kitchen.bowl] in kitchen.boards else path[-1:])


def _until_seen(kitchen: Kitchen, state: State, path: Plan, cell: Cell) -> Plan:
    """Walk towards a cell until it is in sight, then wait one step, since the food there is already in the bowl."""
    if state.places[kitchen.bowl] == HAND:
        return WAIT
    for steps, action in enumerate(path):
        if kitchen.sees(state.agent, cell):
            return path[:steps] + WAIT
        state, _ = apply(kitchen, state, action)
    return WAIT


@dataclass(slots=True)
class _Entry:
    cost: int
    estimate: int
    cell: Cell
    path: Plan

    def __lt__(self, other: "_Entry") -> bool:
        """Return true also for equal estimates, so that the entry pushed later wins a tie."""
        return self.estimate <= other.estimate


@lru_cache(maxsize=4096)
def find_path(kitchen: Kitchen, start: Cell, target: Cell) -> Plan:
    """Return a shortest path over the floor, found by A*. Its last action moves into the target. Empty if there is none."""
    heap = [_Entry(0, 0, start, ())]
    done: set[Cell] = set()
    while heap:
        entry = heappop(heap)
        if entry.cell == target:
            return entry.path
        if entry.cell in done:
            continue
        done.add(entry.cell)
        for action in SEARCH_ORDER:
            down, right = MOVES[action]
            cell = (entry.cell[0] + down, entry.cell[1] + right)
            if (cell in kitchen.floor or cell == target) and cell not in done:
                distance = abs(cell[0] - target[0]) + abs(cell[1] - target[1])
                cost = entry.cost + 1
                heappush(heap, _Entry(cost, cost + distance, cell, (*entry.path, action)))
    return ()


def has_effect(kitchen: Kitchen, before: State, macro_action: MacroAction, after: State) -> bool:
    """Return whether a macro-action that led from one state to another had its effect.

    get: the item is now carried, in the hand or in a held bowl. go to board: the held item was used there (put down, or combined
    with the item there); with empty hands, the agent now stands in front of the board. deliver: the held item was delivered,
    right or wrong. chop: a food was chopped. idle: it has no effect.
    """
    if macro_action.verb == "idle":
        return False
    if macro_action.verb == "get":
        return _carries(kitchen, after, macro_action.target) and not _carries(kitchen, before, macro_action.target)
    if macro_action.verb == "chop":
        return after.chops != before.chops
    if macro_action.verb == "deliver" or held_item(before) is not None:
        return after.places != before.places
    board = kitchen.boards[macro_action.target]
    return board in boards_in_reach(kitchen, after) and board not in boards_in_reach(kitchen, before)


def _carries(kitchen: Kitchen, state: State, item: int) -> bool:
    place = state.places[item]
    return place == HAND or (place == BOWL and state.places[kitchen.bowl] == HAND)
