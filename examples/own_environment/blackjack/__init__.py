"""Blackjack in words: an example of an environment of your own, made of gymnasium's Blackjack-v1."""

from typing import Any

import gymnasium

from twosome.envs import InWords

ACTIONS = ("stop here", "take another card")


def describe(obs: tuple[int, int, int], info: dict[str, Any], env: gymnasium.Env) -> str:
    """Return the prompt. obs: the sum of the player's cards, the dealer's card, whether an ace counts as 11."""
    total, dealer, usable_ace = obs
    ace = ", of which an ace counts as 11" if usable_ace else ""
    shown = "an ace" if dealer == 1 else f"a {dealer}"
    return f"You play blackjack. Your cards make {total}{ace}. The dealer shows {shown}. To win, you should now"


def make(render_mode: str | None = None, **options: Any) -> gymnasium.Env:
    """Make the environment. options: of gymnasium's Blackjack-v1, in the YAML file under kwargs."""
    env = gymnasium.make("Blackjack-v1", render_mode=render_mode, **options)
    return InWords(env, ACTIONS, describe, reward_threshold=1.0)


gymnasium.register("blackjack/Words-v0", entry_point=make)
