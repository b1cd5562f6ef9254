"""The rules of the kitchen: the effects of primitive actions, as pure functions of small hashable values."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from twosome.errors import check_choice

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
SMALL_KITCHEN_TASK: Final = "tomato_salad"

# Kitchen maps as text, one character per cell; a new map is a new entry here. # counter, . floor, @ floor where the agent starts,
# / cutting board, D delivery counter, and counters with an item at the start: T tomato, L lettuce, O onion, B bowl. Boards are
# numbered in reading order. The small kitchen is the same map with plain counters instead of L, O and all boards but the first.
MAPS: Final = {
    # The kitchen of the paper.
    "A": """
        #####T#
        /...@.L
        /.....O
        D.....#
        #.....#
        #.....#
        #####B#
    """,
    # A counter splits the room: every path between foods and boards goes around it.
    "B": """
        ####T##
        /..#@.L
        /..#..O
        #..#..#
        D..#..#
        #.....#
        ####B##
    """,
    # An island in the middle, with both boards on it.
    "C": """
        #T###L#
        #.....#
        #.#/#.O
        #.#/#.#
        #..@..#
        #.....#
        ##D#B##
    """,
}

# Places that are not cells. Their rows are negative, so they are not equal to any cell.
HAND: Final[Cell] = (-1, 0)
BOWL: Final[Cell] = (-2, 0)


# How each primitive action moves the agent: right, down, left, up, stay.
MOVES: Final[tuple[Cell, ...]] = ((0, 1), (1, 0), (0, -1), (-1, 0), (0, 0))
STAY: Final = 4

# Events of primitive actions that change the reward.
NOTHING, CHOPPED, DELIVERED, WRONG_DELIVERY = range(4)


class State(NamedTuple):
    """Everything that changes in a kitchen. Items are the kitchen's foods in order, then the bowl."""

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
    def items(self) -> tuple[str, ...]:
        """The items' names."""
        return (*self.foods, "bowl")


@lru_cache(maxsize=256)
def make_kitchen(task: str, map_name: str = "A", obs_radius: int = 2, idle_actions: int = 0) -> Kitchen:
    """Return the kitchen of a task on a map. Raises UserError for unknown names."""
    check_choice("task", task, TASKS)
    check_choice("map", map_name, MAPS)
    small = task == SMALL_KITCHEN_TASK
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


def apply(kitchen: Kitchen, state: State, action: int) -> tuple[State, int]:
    """Do one primitive action; return the next state and the event. An impossible action changes nothing."""
    if action == STAY:
        return state, NOTHING
    target = (state.agent[0] + MOVES[action][0], state.agent[1] + MOVES[action][1])
    if target in kitchen.floor:
        return state._replace(agent=target), NOTHING
    held = held_item(state)
    if held is None:
        return _use_empty_hand(kitchen, state, target)
    if target == kitchen.delivery:
        return _deliver(kitchen, state, held)
    return _use_item(kitchen, state, held, target), NOTHING


def _put(state: State, item: int, place: Cell) -> State:
    return state._replace(places=(*state.places[:item], place, *state.places[item + 1 :]))


def _use_empty_hand(kitchen: Kitchen, state: State, target: Cell) -> tuple[State, int]:
    item = item_at(state, target)
    if item is None:
        return state, NOTHING
    if target not in kitchen.boards or item == kitchen.bowl or is_chopped(state, item):
        return _put(state, item, HAND), NOTHING
    chops = (*state.chops[:item], state.chops[item] + 1, *state.chops[item + 1 :])
    state = state._replace(chops=chops)
    ready = item in kitchen.recipe and is_chopped(state, item)
    return state, CHOPPED if ready else NOTHING


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


def _deliver(kitchen: Kitchen, state: State, held: int) -> tuple[State, int]:
    if held == kitchen.bowl and bowl_content(state) == kitchen.recipe:
        return _put(state, held, kitchen.delivery), DELIVERED
    returned = bowl_content(state) | {held} if held == kitchen.bowl else {held}
    start = kitchen.start
    places = tuple(start.places[i] if i in returned else place for i, place in enumerate(state.places))
    chops = tuple(0 if i in returned else count for i, count in enumerate(state.chops))
    return State(state.agent, places, chops), WRONG_DELIVERY
