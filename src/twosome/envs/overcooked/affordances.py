"""Whether a macro-action has its effect: its purpose is fulfilled after it and was not before. The recipe is ignored."""

from twosome.envs.overcooked.kitchen import BOWL, HAND, Kitchen, State, held_item
from twosome.envs.overcooked.macro_actions import MacroAction, boards_in_reach


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
