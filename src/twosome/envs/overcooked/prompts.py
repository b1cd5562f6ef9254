"""Prompters: pure functions from what the agent knows to the words of a decision.

A prompter takes a kitchen and a state and returns the observation prompt and one action prompt per macro-action, in the
order of their ids. ``prompt + " " + action_prompt`` reads as a text. `PROMPTERS` holds the named ones; the
environment's option ``prompt`` also takes any such function, or its import path ``package.module:function``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from twosome.envs.overcooked.kitchen import Kitchen, State, bowl_content, held_item, is_chopped, item_at
from twosome.envs.overcooked.macro_actions import MacroAction, boards_in_reach, macro_actions, unfinished_board
from twosome.envs.wording import Principles, join

Prompter = Callable[[Kitchen, State], tuple[str, tuple[str, ...]]]
ORDINALS: Final = ("first", "second", "third", "fourth")


class PrinciplePrompter(Principles):
    """Words for a kitchen that follow the principles of prompt design."""

    def __call__(self, kitchen: Kitchen, state: State) -> tuple[str, tuple[str, ...]]:
        """The prompt and the action prompts of a state."""
        phrase = adapted_phrase if self.adaptation else fixed_phrase
        foods = join(f"the chopped {kitchen.foods[item]}" for item in sorted(kitchen.recipe))
        phrases = [phrase(kitchen, state, macro_action) for macro_action in macro_actions(kitchen)]
        return self.worded(_scene(kitchen, state), f"put {foods} in the bowl and serve the dish", phrases)


PROMPTERS: Final[Mapping[str, Prompter]] = PrinciplePrompter.named()


def _scene(kitchen: Kitchen, state: State) -> Iterable[str]:
    """What the agent sees and holds, one sentence each: fixed boards, foods and bowl, what is on each board, itself."""
    if len(kitchen.boards) == 1:
        yield "There is a cutting board in the room."
    else:
        yield f"There are {('two', 'three', 'four')[len(kitchen.boards) - 2]} cutting boards in the room."
    seen = [
        _name(kitchen, state, item)
        for item, place in enumerate(state.places)
        if place == kitchen.start.places[item] and kitchen.sees(state.agent, place)
    ]
    if seen:
        yield f"You see {join(f'{_article(name)} {name}' for name in seen)} on the counter."
    for board, cell in enumerate(kitchen.boards):
        item = item_at(state, cell)
        if item is not None and kitchen.sees(state.agent, cell):
            yield f"{_described(kitchen, state, item).capitalize()} is on the {_board(kitchen, board)}."
    reached = [kitchen.boards.index(cell) for cell in boards_in_reach(kitchen, state)]
    if reached:
        yield f"You stand in front of {join('the ' + _board(kitchen, board) for board in reached)}."
    held = held_item(state)
    if held is None:
        yield "You hold nothing."
    elif held == kitchen.bowl:
        yield f"{_described(kitchen, state, held).capitalize()} is in your hand."
    else:
        yield f"The {'' if is_chopped(state, held) else 'un'}chopped {kitchen.foods[held]} is in your hand."


def adapted_phrase(kitchen: Kitchen, state: State, macro_action: MacroAction) -> str:
    """A macro-action's words in a state."""
    held = held_item(state)
    if macro_action.verb == "get" and macro_action.target == kitchen.bowl:
        return "take the bowl" if kitchen.is_small or bowl_content(state) else "take the empty bowl"
    if macro_action.verb == "get" and held == kitchen.bowl:
        return f"put the {kitchen.foods[macro_action.target]} in the bowl"
    if macro_action.verb == "go_to_board" and held is not None and fits_on_board(kitchen, state, macro_action.target):
        return f"put the {_plain_name(kitchen, held)} on the {_board(kitchen, macro_action.target)}"
    if macro_action.verb == "deliver":
        return "serve nothing" if held is None else "serve the dish"
    if macro_action.verb == "chop":
        cell = unfinished_board(kitchen, state)
        item = None if cell is None else item_at(state, cell)
        return "chop nothing" if item is None else f"chop the {kitchen.foods[item]}"
    return fixed_phrase(kitchen, state, macro_action)


def fixed_phrase(kitchen: Kitchen, state: State, macro_action: MacroAction) -> str:
    """A macro-action's words, whatever the state."""
    if macro_action.verb == "get":
        verb = "take" if macro_action.target == kitchen.bowl else "pick up"
        return f"{verb} the {_plain_name(kitchen, macro_action.target)}"
    if macro_action.verb == "go_to_board":
        return f"walk to the {_board(kitchen, macro_action.target)}"
    return "serve the dish" if macro_action.verb == "deliver" else "chop the food"


def fits_on_board(kitchen: Kitchen, state: State, board: int) -> bool:
    """Whether the agent, as far as it sees, could put what it holds on a board: the board is empty or out of sight."""
    cell = kitchen.boards[board]
    return not kitchen.sees(state.agent, cell) or item_at(state, cell) is None


def _plain_name(kitchen: Kitchen, item: int) -> str:
    return (*kitchen.foods, "bowl")[item]


def _name(kitchen: Kitchen, state: State, item: int) -> str:
    """An item on its counter: only the bowl can differ from how it was at the start."""
    if item != kitchen.bowl:
        return kitchen.foods[item]
    content = bowl_content(state)
    return _bowl_with(kitchen, content).removeprefix("a ") if content else "bowl"


def _described(kitchen: Kitchen, state: State, item: int) -> str:
    if item == kitchen.bowl:
        return _bowl_with(kitchen, bowl_content(state))
    return f"{'a chopped' if is_chopped(state, item) else 'an unchopped'} {kitchen.foods[item]}"


def _bowl_with(kitchen: Kitchen, content: Iterable[int]) -> str:
    foods = [f"chopped {kitchen.foods[item]}" for item in sorted(content)]
    return f"a bowl with {join(foods)}" if foods else "an empty bowl"


def _board(kitchen: Kitchen, board: int) -> str:
    return "cutting board" if len(kitchen.boards) == 1 else f"{ORDINALS[board]} cutting board"


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"
