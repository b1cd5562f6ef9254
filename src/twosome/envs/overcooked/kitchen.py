"""The rules of the kitchen: the effects of primitive actions, as pure functions of small hashable values."""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from twosome.envs.overcooked.idle import check_idle_actions
from twosome.envs.overcooked.maps import MAPS
from twosome.errors import UserError, unknown_choice

Cell = tuple[int, int]  # (row, column)
FOODS: Final = ("tomato", "lettuce", "onion")
CHOPS_NEEDED: Final = 3

# The foods that each task's bowl must hold. The order is that of the observation's one-hot.
TASKS: Final[dict[str, tuple[str, ...]]] = {
    "tomato_salad": ("tomato",),
    "lettuce_salad": ("lettuce",),
    "onion_salad": ("onion",),
    "tomato_lettuce_salad": ("tomato", "lettuce"),
    "tomato_onion_salad": ("tomato", "onion"),
    "lettuce_onion_salad": ("lettuce", "onion"),
    "tomato_lettuce_onion_salad": ("tomato", "lettuce", "onion"),
}
SMALL_KITCHEN_TASKS: Final = frozenset({"tomato_salad"})

# Places that are not cells. Their rows are negative, so they are not equal to any cell.
HAND: Final[Cell] = (-1, 0)
BOWL: Final[Cell] = (-2, 0)


class Primitive(IntEnum):
    """The primitive actions."""

    RIGHT = 0
    DOWN = 1
    LEFT = 2
    UP = 3
    STAY = 4


MOVES: Final[tuple[Cell, ...]] = ((0, 1), (1, 0), (0, -1), (-1, 0), (0, 0))


class Event(IntEnum):
    """An event of a primitive action that is relevant for rewards."""

    NOTHING = 0
    INGREDIENT_CHOPPED = 1
    DELIVERED = 2
    WRONG_DELIVERY = 3


class State(NamedTuple):
    """The state: everything that changes. Items are the kitchen's foods in order, then the bowl."""

    agent: Cell
    places: tuple[Cell, ...]  # one per item: the counter or board it lies on, HAND, or (foods only) BOWL
    chops: tuple[int, ...]  # one per food: how often it was chopped, 0 to CHOPS_NEEDED


@dataclass(frozen=True)
class Kitchen:
    """The constants of a kitchen: the map, the recipe and how far the agent sees."""

    task: str
    rows: int
    columns: int
    floor: frozenset[Cell]
    boards: tuple[Cell, ...]
    delivery: Cell
    foods: tuple[str, ...]
    recipe: frozenset[int]  # items
    start: State
    obs_radius: int  # the agent sees this far, diagonally too; 0 means everything
    idle_actions: int = 0  # so many macro-actions that do nothing are added

    def sees(self, agent: Cell, cell: Cell) -> bool:
        """Return whether a cell lies in the agent's window."""
        return not self.obs_radius or max(abs(cell[0] - agent[0]), abs(cell[1] - agent[1])) <= self.obs_radius

    @property
    def bowl(self) -> int:
        """The bowl's item number."""
        return len(self.foods)

    @property
    def is_small(self) -> bool:
        return self.task in SMALL_KITCHEN_TASKS


@lru_cache(maxsize=256)
def make_kitchen(task: str, map_name: str = "A", obs_radius: int = 2, idle_actions: int = 0) -> Kitchen:
    """Return the kitchen of a task on a map. Raises UserError for unknown names, a bad radius or number of idle actions."""
    if task not in TASKS:
        raise unknown_choice("task", task, TASKS)
    if map_name not in MAPS:
        raise unknown_choice("map", map_name, MAPS)
    if not isinstance(obs_radius, int) or obs_radius < 0:
        raise UserError(f"obs_radius={obs_radius}: expected a whole number, 0 for everything; the paper's is 2")
    check_idle_actions(idle_actions)
    small = task in SMALL_KITCHEN_TASKS
    rows = MAPS[map_name].split()
    cells: dict[str, list[Cell]] = {}
    for r, row in enumerate(rows):
        for c, character in enumerate(row):
            cells.setdefault(character, []).append((r, c))
    foods = FOODS[:1] if small else FOODS
    places = (*(cells[food[0].upper()][0] for food in foods), cells["B"][0])
    return Kitchen(
        task=task,
        rows=len(rows),
        columns=len(rows[0]),
        floor=frozenset(cells["."] + cells["@"]),
        boards=tuple(cells["/"][:1] if small else cells["/"]),
        delivery=cells["D"][0],
        foods=foods,
        recipe=frozenset(foods.index(food) for food in TASKS[task]),
        start=State(cells["@"][0], places, (0,) * len(foods)),
        obs_radius=obs_radius,
        idle_actions=idle_actions,
    )


def held_item(state: State) -> int | None:
    """Return the item in the agent's hand, or None."""
    return state.places.index(HAND) if HAND in state.places else None


def item_at(state: State, cell: Cell) -> int | None:
    """Return the item on a counter or board, or None. Foods in a bowl are not counted, only the bowl."""
    return state.places.index(cell) if cell in state.places else None


def bowl_content(state: State) -> frozenset[int]:
    """Return the foods in the bowl."""
    return frozenset(food for food in range(len(state.chops)) if state.places[food] == BOWL)


def position(state: State, item: int) -> Cell:
    """Return the cell of an item; if it is carried, that of its carrier."""
    place = state.places[item]
    if place == BOWL:
        place = state.places[-1]
    return state.agent if place == HAND else place


def is_chopped(state: State, item: int) -> bool:
    """Return whether an item is a completely chopped food."""
    return item < len(state.chops) and state.chops[item] == CHOPS_NEEDED


def apply(kitchen: Kitchen, state: State, action: int) -> tuple[State, Event]:
    """Do one primitive action; return the next state and the event. An impossible action changes nothing."""
    if action == Primitive.STAY:
        return state, Event.NOTHING
    target = (state.agent[0] + MOVES[action][0], state.agent[1] + MOVES[action][1])
    if target in kitchen.floor:
        return state._replace(agent=target), Event.NOTHING
    held = held_item(state)
    if held is None:
        return _use_empty_hand(kitchen, state, target)
    if target == kitchen.delivery:
        return _deliver(kitchen, state, held)
    return _use_item(kitchen, state, held, target), Event.NOTHING


def _put(state: State, item: int, place: Cell) -> State:
    return state._replace(places=(*state.places[:item], place, *state.places[item + 1 :]))


def _use_empty_hand(kitchen: Kitchen, state: State, target: Cell) -> tuple[State, Event]:
    item = item_at(state, target)
    if item is None:
        return state, Event.NOTHING
    if target not in kitchen.boards or item == kitchen.bowl or is_chopped(state, item):
        return _put(state, item, HAND), Event.NOTHING
    chops = (*state.chops[:item], state.chops[item] + 1, *state.chops[item + 1 :])
    state = state._replace(chops=chops)
    ready = item in kitchen.recipe and is_chopped(state, item)
    return state, Event.INGREDIENT_CHOPPED if ready else Event.NOTHING


def _use_item(kitchen: Kitchen, state: State, held: int, target: Cell) -> State:
    other = item_at(state, target)
    if other is None:
        return _put(state, held, target)
    if held == kitchen.bowl:
        return _put(state, other, BOWL) if is_chopped(state, other) else state
    if other == kitchen.bowl and is_chopped(state, held):
        state = _put(state, held, BOWL)
        # The agent takes the filled bowl from a board, but leaves it on a counter.
        return _put(state, other, HAND) if target in kitchen.boards else state
    return state


def _deliver(kitchen: Kitchen, state: State, held: int) -> tuple[State, Event]:
    if held == kitchen.bowl and bowl_content(state) == kitchen.recipe:
        return _put(state, held, kitchen.delivery), Event.DELIVERED
    returned = bowl_content(state) | {held} if held == kitchen.bowl else {held}
    start = kitchen.start
    places = tuple(start.places[i] if i in returned else place for i, place in enumerate(state.places))
    chops = tuple(0 if i in returned else count for i, count in enumerate(state.chops))
    return State(state.agent, places, chops), Event.WRONG_DELIVERY
