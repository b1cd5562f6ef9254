"""A film of one episode (GIF): the environment's picture, and beside it the probabilities of the agent's actions."""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import gymnasium
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from twosome import generators, seeding
from twosome.agents.agent import Agent
from twosome.envs.check import attribute
from twosome.envs.vector import Episode, Player
from twosome.evaluation.episodes import act, acting
from twosome.files import write_atomic
from twosome.identity import task_of

FRAME_MS, LAST_MS = 250, 3_000
MAX_FRAMES = 240  # a minute; a longer film has its first frames and the last one
COLORS = (128, 64, 32)  # tried in this order until the film is small enough
MAX_BYTES = 2_000_000
WIDTH, HEIGHT, MARGIN = 900, 500, 18
STAGE = HEIGHT - 2 * MARGIN  # side of the square that the environment's picture is fitted into
PANEL, RIGHT = MARGIN + STAGE + 28, WIDTH - MARGIN  # left and right edge of the text
BARS_TOP, BARS_BOTTOM, MAX_BARS = 146, HEIGHT - MARGIN, 9
PAPER, INK, FAINT, TRACK = "#fbf8f2", "#232b3b", "#7a8292", "#ece6da"
BAR, CHOSEN, GOOD, BAD = "#9fb4c7", "#d9730d", "#2e7d4f", "#a63d40"


def can_film(make_env: Callable[[], gymnasium.Env]) -> bool:
    """Return whether the environment can be rendered as pictures."""
    env = make_env()
    env.close()
    return "rgb_array" in env.metadata.get("render_modes", [])


def record(
    agent: Agent, make_env_rgb: Callable[[], gymnasium.Env], path: Path, gamma: float, seed: int, greedy: bool = True
) -> Episode:
    """Play one episode and write it to path as an animated GIF of less than 2 MB; return the episode's statistics.

    make_env_rgb: makes the environment with render_mode="rgb_array". gamma: discount per primitive step of the displayed return.
    seed: of the episode and, if not greedy, of the sampled actions. If the environment has a method ``frames``, a list with a
    picture per primitive step of the last action, each step is shown.
    """
    player = Player(make_env_rgb(), gamma)
    film: list[Image.Image] = []
    with acting(agent):
        for image in _play(agent, player, seed, greedy):
            film = [*film[: MAX_FRAMES - 1], image]
    player.close()
    write_atomic(path, encode(film))
    return player.episode


def ending_of(player: Player) -> str:
    """Return how an episode ended, in words; an empty text if it has not."""
    if not player.ended:
        return ""
    episode = player.episode
    return "goal reached" if episode.success else "ended without the goal" if episode.terminated else "out of time"


def title_of(env: gymnasium.Env) -> str:
    """Return the environment's ``mission``, if it has one, or else the name of the task or of the environment."""
    if isinstance(mission := attribute(env, "mission"), str):
        return mission
    assert env.spec is not None  # gymnasium.make made it
    return task_of({"id": env.spec.id, **env.spec.kwargs}).replace("_", " ")


def pictures(env: gymnasium.Env) -> list[np.ndarray]:
    """Return the pictures of the last action's primitive steps, (height, width, 3), uint8; see `record`."""
    frames = attribute(env, "frames")
    return frames() if callable(frames) else [env.render()]  # type: ignore[list-item]


def _play(agent: Agent, player: Player, seed: int, greedy: bool) -> Iterator[Image.Image]:
    """Yield the film's pictures; a decision is shown before its action is done."""
    generator = generators.of_stream(seed, "film: actions")
    player.reset(int(seeding.stream(seed, "film: environment").generate_state(1)[0]))
    title, picture = title_of(player.env), pictures(player.env)[-1]
    while not player.ended:
        actions, episode = player.decision.action_prompts, player.episode
        before, number, total = episode.primitive_steps, episode.decisions + 1, episode.discounted_return
        ((_, chosen, _, log_policy),) = act(agent, [player], generator, greedy)
        shares = log_policy[: len(actions)].exp().tolist()
        scene = partial(compose, title=title, actions=actions, shares=shares, chosen=chosen, decisions=number)
        yield scene(picture, step=before, total=total)
        *way, picture = pictures(player.env)
        for step, moment in enumerate(way, start=before + 1):
            yield scene(moment, step=step, total=total)
        scene = partial(scene, ending=ending_of(player), success=episode.success)
        yield scene(picture, step=episode.primitive_steps, total=episode.discounted_return)


def compose(
    picture: np.ndarray, title: str, actions: Sequence[str], shares: Sequence[float], chosen: int,
    step: int = 0, decisions: int = 1, total: float = 0.0, ending: str = "", success: bool = False,
) -> Image.Image:  # fmt: skip
    """Compose the film's picture, (WIDTH, HEIGHT) RGB.

    picture: the environment's, (height, width, 3), uint8. title: the goal. actions: the action prompts. shares: their
    probabilities. chosen: the index of the chosen one. step: primitive steps so far. decisions: their number, with this one.
    total: discounted return so far. ending: how the episode ended, or an empty text. success: whether the goal was reached.
    """
    canvas = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    stage = Image.fromarray(picture).convert("RGB")
    scale = STAGE / max(stage.size)
    stage = stage.resize((round(stage.width * scale), round(stage.height * scale)), Image.Resampling.LANCZOS)
    canvas.paste(stage, (MARGIN + (STAGE - stage.width) // 2, MARGIN + (STAGE - stage.height) // 2))
    draw = ImageDraw.Draw(canvas)
    for y, size, line in title_lines(title, RIGHT - PANEL):
        draw.text((PANEL, y), line, INK, font(size, bold=True))
    for column, (name, value) in enumerate({"step": step, "decision": decisions, "return": f"{total:+.3f}"}.items()):
        left = PANEL + column * (RIGHT - PANEL) // 3
        draw.text((left, 56), name, FAINT, font(13))
        draw.text((left, 73), str(value), INK, font(17))
    draw.line((PANEL, 107, RIGHT, 107), TRACK, 2)
    if ending:
        draw.text((PANEL, 118), ending, GOOD if success else BAD, font(17, bold=True))
    else:
        draw.text((PANEL, 119), "probability of each action", FAINT, font(13))
    shown = visible(shares, chosen)
    hidden = len(actions) - len(shown)
    pitch = min(44, (BARS_BOTTOM - BARS_TOP - (18 if hidden else 0)) // len(shown))
    for row, action in enumerate(shown):
        _draw_bar(draw, BARS_TOP + row * pitch, min(11, pitch - 25), actions[action], shares[action], action == chosen)
    if hidden:
        draw.text((PANEL, BARS_BOTTOM - 14), f"and {hidden} less likely", FAINT, font(12))
    return canvas


def _draw_bar(draw: ImageDraw.ImageDraw, y: int, height: int, action: str, share: float, chosen: bool) -> None:
    """Draw an action's text, probability and bar."""
    ink = CHOSEN if chosen else INK
    number = f"{share:.1%}" if share < 0.9995 else "100%"
    draw.text((RIGHT, y), number, ink, font(15, bold=chosen), anchor="ra")
    draw.text((PANEL, y), fit(action, 15, RIGHT - PANEL - 66, bold=chosen), ink, font(15, bold=chosen))
    top, bottom, length = y + 20, y + 20 + height, round(share * (RIGHT - PANEL))
    draw.rounded_rectangle((PANEL, top, RIGHT, bottom), 4, TRACK)
    if length > 2:
        draw.rounded_rectangle((PANEL, top, PANEL + length, bottom), 4, CHOSEN if chosen else BAR)


def visible(probabilities: Sequence[float], chosen: int) -> list[int]:
    """Return the indices of at most MAX_BARS actions, in ascending order: the chosen one and the most probable others."""
    order = sorted(range(len(probabilities)), key=lambda action: (action != chosen, -probabilities[action]))
    return sorted(order[:MAX_BARS])


def title_lines(title: str, width: int) -> list[tuple[int, int, str]]:
    """Return height, size and text of a title's lines, each at most width pixels wide: one line, or two if it is too long."""
    words = title.split()
    for size in (21, 18, 15):
        if fit(title, size, width, bold=True) == " ".join(words):
            return [(20, size, " ".join(words))]
    first = max(cut for cut in range(len(words)) if font(15, bold=True).getlength(" ".join(words[:cut])) <= width)
    lines = " ".join(words[:first]), " ".join(words[first:])
    return [(y, 15, fit(line, 15, width, bold=True)) for y, line in zip((12, 32), lines, strict=True)]


def fit(text: str, size: int, width: float, bold: bool = False) -> str:
    """Return the text on one line, with an ellipsis in its middle if it is wider than width pixels."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    cut, kept = text, len(text)
    while kept and font(size, bold).getlength(cut) > width:
        kept -= 1
        cut = f"{text[: kept - kept // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
    return cut


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which is part of matplotlib, so that pictures are the same on every machine."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(file), size)


def encode(film: list[Image.Image]) -> bytes:
    """Return an animated GIF with FRAME_MS per picture and LAST_MS for the last, with as many colours as its size allows.

    All pictures have one palette, without dithering, so that only changed pixels are stored.
    """
    size = (film[0].width // 2, film[0].height // 2)  # every other pixel of some pictures is enough to choose the palette
    chosen = [picture.resize(size, Image.Resampling.NEAREST) for picture in film[:: max(1, len(film) // 6)]]
    samples = Image.new("RGB", (size[0], size[1] * len(chosen)))
    for place, picture in enumerate(chosen):
        samples.paste(picture, (0, place * size[1]))
    durations = [FRAME_MS] * (len(film) - 1) + [LAST_MS]
    for colors in COLORS:
        palette = samples.quantize(colors, method=Image.Quantize.MEDIANCUT, kmeans=2)
        first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in film)
        buffer = io.BytesIO()
        first.save(buffer, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)
        if buffer.tell() < MAX_BYTES:
            break
    return buffer.getvalue()
