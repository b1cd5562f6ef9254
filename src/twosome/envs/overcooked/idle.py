"""Actions that do nothing, which enlarge the action space (option `idle_actions`): each takes one primitive step."""

from typing import Final

from twosome.errors import UserError

IDLE: Final = (
    *("sleep", "do nothing", "think"),  # GLAM's (Carta et al. 2023); the others are in the same manner
    *("wait", "rest", "relax", "breathe", "blink", "yawn", "sigh", "smile", "frown", "laugh", "nod", "shrug", "stretch"),
    *("hum", "whistle", "sing", "whisper", "talk", "listen", "wonder", "remember", "daydream", "meditate", "dance", "hop"),
    *("clap", "wave", "stand still", "look around", "turn around", "count to ten", "close your eyes", "hold your breath"),
    *("tap your foot", "scratch your head", "fold your arms", "tell a joke", "recite a poem", "make a wish", "take a nap"),
    *("admire the view", "plan the day"),
)
"""Their words, in the order in which they are added."""


def check_idle_actions(number: object) -> None:
    """Raise UserError unless a number of idle actions is one that there are words for."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= len(IDLE):
        raise UserError(f"idle_actions={number}: expected a whole number from 0 to {len(IDLE)}; the paper's is 0")
