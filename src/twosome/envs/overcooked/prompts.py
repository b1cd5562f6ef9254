"""Prompters: pure functions from what the agent knows to the words of a decision.

A prompter takes a kitchen and a state and returns the observation prompt and one action prompt per macro-action, in the
order of their ids. ``prompt + " " + action_prompt`` reads as a text. `PROMPTERS` holds the named ones; the
environment's option ``prompt`` also takes any such function, or its import path ``package.module:function``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from twosome.envs.options import Principles, join
from twosome.envs.overcooked.kitchen import BOWL, Kitchen, State, bowl_content, held_item, is_chopped, item_at, position
from twosome.envs.overcooked.macro_actions import MacroAction, boards_in_reach, macro_actions, unfinished_board

Prompter = Callable[[Kitchen, State], tuple[str, tuple[str, ...]]]
ORDINALS: Final = ("first", "second", "third", "fourth")


class PrinciplePrompter(Principles):
    """Words for a kitchen that follow the principles of prompt design."""

    def __call__(self, kitchen: Kitchen, state: State) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the action prompts of a state."""
        phrase = explicit_phrase if self.explicit else adapted_phrase if self.adaptation else fixed_phrase
        foods = join(f"the chopped {kitchen.foods[item]}" for item in sorted(kitchen.recipe))
        phrases = [each.name if each.verb == "idle" else phrase(kitchen, state, each) for each in macro_actions(kitchen)]
        return self.worded(_scene(kitchen, state), f"put {foods} in the bowl and serve the dish", phrases)


PROMPTERS: Final[Mapping[str, Prompter]] = PrinciplePrompter.named()


def _scene(kitchen: Kitchen, state: State) -> Iterable[str]:
    """Yield what the agent sees and holds, one sentence each: fixed boards, foods and bowl, what is on each board, itself."""
    if len(kitchen.boards) == 1:
        yield "There is a cutting board in the room."
    else:
        yield f"There are {('two', 'three', 'four')[len(kitchen.boards) - 2]} cutting boards in the room."
    in_place = (item for item, place in enumerate(state.places) if place == kitchen.start.places[item])
    seen = [item for item in in_place if kitchen.sees(state.agent, state.places[item])]
    if seen:  # of these, only a bowl with something in it differs from how it was at the start
        names = [
            _with_state(kitchen, state, item) if bowl_content(state) and item == kitchen.bowl else kitchen.items[item]
            for item in seen
        ]
        yield f"You see {join(map(_with_article, names))} on the counter."
    for board, cell in enumerate(kitchen.boards):
        item = item_at(state, cell)
        if item is not None and kitchen.sees(state.agent, cell):
            yield f"{_with_article(_with_state(kitchen, state, item)).capitalize()} is on the {_board(kitchen, board)}."
    reached = [kitchen.boards.index(cell) for cell in boards_in_reach(kitchen, state)]
    if reached:
        yield f"You stand in front of {join('the ' + _board(kitchen, board) for board in reached)}."
    held = held_item(state)
    if held is None:
        yield "You hold nothing."
    elif held == kitchen.bowl:
        yield f"{_with_article(_with_state(kitchen, state, held)).capitalize()} is in your hand."
    else:
        yield f"The {_with_state(kitchen, state, held)} is in your hand."


def adapted_phrase(kitchen: Kitchen, state: State, macro_action: MacroAction) -> str:
    """Return a macro-action's words in a state."""
    held = held_item(state)
    if macro_action.verb == "get" and macro_action.target == kitchen.bowl:
        return "take the bowl" if len(kitchen.foods) == 1 or bowl_content(state) else "take the empty bowl"
    if macro_action.verb == "get" and held == kitchen.bowl:
        return f"put the {kitchen.foods[macro_action.target]} in the bowl"
    if macro_action.verb == "go_to_board" and held is not None and fits_on_board(kitchen, state, macro_action.target):
        return f"put the {kitchen.items[held]} on the {_board(kitchen, macro_action.target)}"
    if macro_action.verb == "deliver":
        return "serve nothing" if held is None else "serve the dish"
    if macro_action.verb == "chop":
        cell = unfinished_board(kitchen, state)
        item = None if cell is None else item_at(state, cell)
        return "chop nothing" if item is None else f"chop the {kitchen.foods[item]}"
    return fixed_phrase(kitchen, state, macro_action)


def fixed_phrase(kitchen: Kitchen, state: State, macro_action: MacroAction) -> str:
    """Return a macro-action's words, whatever the state."""
    if macro_action.verb == "get":
        verb = "take" if macro_action.target == kitchen.bowl else "pick up"
        return f"{verb} the {kitchen.items[macro_action.target]}"
    if macro_action.verb == "go_to_board":
        return f"walk to the {_board(kitchen, macro_action.target)}"
    return "serve the dish" if macro_action.verb == "deliver" else "chop the food"


def explicit_phrase(kitchen: Kitchen, state: State, macro_action: MacroAction) -> str:
    """Return a macro-action's words that name all it would act on, and with what, as far as the agent can know.

    They depend on what is held and on what is in sight, never on the recipe. Where nothing would change they say that.
    """
    held = held_item(state)
    if macro_action.verb == "get":
        return _explicit_get(kitchen, state, macro_action.target, held)
    if macro_action.verb == "go_to_board":
        return _explicit_board(kitchen, state, macro_action.target, held)
    if macro_action.verb == "deliver":
        return f"serve {'nothing' if held is None else _as_seen(kitchen, state, held)}"
    cell = unfinished_board(kitchen, state)
    item = None if cell is None or held is not None else item_at(state, cell)  # chopping needs empty hands
    return "chop nothing" if item is None else f"chop the {kitchen.foods[item]}"  # which is unchopped, or could not be


def _explicit_get(kitchen: Kitchen, state: State, item: int, held: int | None) -> str:
    name, is_seen = _as_seen(kitchen, state, item), kitchen.sees(state.agent, position(state, item))
    if item == held:
        return f"keep holding {name}"
    if is_seen and state.places[item] == BOWL:
        return f"leave {name} in the bowl"
    if item == kitchen.bowl and held is None:
        return f"take {name}"
    if item == kitchen.bowl and held is not None and is_chopped(state, held):
        return f"put {_as_seen(kitchen, state, held)} in {name}"
    is_raw = is_seen and item != kitchen.bowl and not is_chopped(state, item)
    if held == kitchen.bowl and not is_raw:
        return f"put {name} in {_as_seen(kitchen, state, held)}"
    if held is None and not (is_raw and state.places[item] in kitchen.boards):
        return f"pick up {name}"
    return f"walk to {name}"  # with full hands, or to an unchopped food on a board: the agent only stops in front of it


def _explicit_board(kitchen: Kitchen, state: State, board: int, held: int | None) -> str:
    place = f"the {_board(kitchen, board)}"
    if held is None:
        return f"walk to {place}"
    holding = _as_seen(kitchen, state, held)
    if fits_on_board(kitchen, state, board):
        return f"put {holding} on {place}"
    lying = state.places.index(kitchen.boards[board])
    if lying == kitchen.bowl and is_chopped(state, held):
        return f"put {holding} in {_as_seen(kitchen, state, lying)} on {place}"
    if held == kitchen.bowl and is_chopped(state, lying):
        return f"put {_as_seen(kitchen, state, lying)} from {place} in {holding}"
    return f"walk to {place}"


def fits_on_board(kitchen: Kitchen, state: State, board: int) -> bool:
    """Return whether the agent, as far as it sees, could put what it holds on a board: the board is empty or out of sight."""
    cell = kitchen.boards[board]
    return not kitchen.sees(state.agent, cell) or item_at(state, cell) is None


def _as_seen(kitchen: Kitchen, state: State, item: int) -> str:
    """Return an item with its state, as in "the unchopped tomato", or its plain name where it is out of sight."""
    seen = kitchen.sees(state.agent, position(state, item))
    return f"the {_with_state(kitchen, state, item) if seen else kitchen.items[item]}"


def _with_state(kitchen: Kitchen, state: State, item: int) -> str:
    """Return an item with what can change about it, without an article."""
    if item != kitchen.bowl:
        return f"{'' if is_chopped(state, item) else 'un'}chopped {kitchen.foods[item]}"
    foods = [f"chopped {kitchen.foods[food]}" for food in sorted(bowl_content(state))]
    return f"bowl with {join(foods)}" if foods else "empty bowl"


def _board(kitchen: Kitchen, board: int) -> str:
    return "cutting board" if len(kitchen.boards) == 1 else f"{ORDINALS[board]} cutting board"


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
