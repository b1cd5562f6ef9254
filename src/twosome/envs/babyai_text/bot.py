"""Demonstrations by BabyAI's bot (Chevalier-Boisvert et al. 2019), which minigrid contains."""

from copy import deepcopy

from minigrid.utils.baby_ai_bot import BabyAIBot

from twosome.envs.babyai_text.levels import Level


def demonstration(level: Level) -> list[int]:
    """Return the bot's actions from the beginning of a level to its end; the level stays as it is."""
    level = deepcopy(level)
    bot, over = BabyAIBot(level), False
    actions: list[int] = []
    while not over:
        actions.append(int(bot.replan(actions[-1] if actions else None)))
        _, _, terminated, truncated, _ = level.step(actions[-1])
        over = terminated or truncated
    return actions
