"""A film of one episode, with the probabilities of the agent's actions."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from twosome import generators, seeding
from twosome.envs.vector import Episode, Player
from twosome.errors import RunError, UserError, is_interruption, raised, shown
from twosome.evaluation.episodes import acting
from twosome.evaluation.storyboard import Scene, compose
from twosome.files import write_atomic
from twosome.identity import task_of
from twosome.policies.agent import Agent, likeliest, sample

FRAME_MS, LAST_MS = 250, 3_000
MAX_FRAMES = 240  # a minute; a longer film has its first frames and the last one
COLORS = (128, 64, 32)  # tried in this order until the film is small enough
MAX_BYTES = 2_000_000


def can_film(make_env: Callable[[], gymnasium.Env]) -> bool:
    """Return whether the environment can be rendered as pictures."""
    env = make_env()
    env.close()
    return "rgb_array" in env.metadata.get("render_modes", [])


def record(
    agent: Agent,
    make_env_rgb: Callable[[], gymnasium.Env],
    path: Path,
    gamma: float,
    seed: int,
    greedy: bool = True,
) -> Episode:
    """Play one episode and write it to path as an animated GIF of less than 2 MB; return the episode's statistics.

    make_env_rgb: makes the environment with render_mode="rgb_array". gamma: discount per primitive step of the displayed return.
    seed: of the episode and, if not greedy, of the sampled actions. If the environment has ``unwrapped.frames()``, a list with a
    picture per primitive step of the last action, each step is shown. Raises UserError if the environment returns no picture.
    """
    player = Player(make_env_rgb(), gamma)
    film: list[Image.Image] = []
    try:
        with acting(agent):
            for image in _play(agent, player, seed, greedy):
                film = [*film[: MAX_FRAMES - 1], image]
    finally:
        player.close()
    write_atomic(path, encode(film))
    return player.episode


def _play(agent: Agent, player: Player, seed: int, greedy: bool) -> Iterator[Image.Image]:
    """Yield the film's pictures; a decision is shown before its action is done."""
    generator = generators.of_stream(seed, "film: actions")
    player.reset(int(seeding.stream(seed, "film: environment").generate_state(1)[0]))
    title, picture = title_of(player.env), pictures(player.env)[-1]
    while not player.ended:
        decision, episode = player.decision, player.episode
        log_policy = agent.log_policy([decision])
        chosen = int((likeliest if greedy else sample)(log_policy, generator))
        shares = log_policy[0, : len(decision.action_ids)].exp().tolist()
        before, total = episode.primitive_steps, episode.discounted_return
        scene = Scene(title, decision.action_prompts, tuple(shares), chosen, before, episode.decisions + 1, total)
        yield compose(picture, scene)
        player.choose(chosen, *agent.remember([decision]))
        *way, picture = pictures(player.env)
        for number, moment in enumerate(way, start=1):
            yield compose(moment, scene.at(before + number, total))
        scene = scene.at(episode.primitive_steps, episode.discounted_return)
        yield compose(picture, Scene(**{**vars(scene), "ending": ending_of(player), "success": episode.success}))


def ending_of(player: Player) -> str:
    """Return how an episode ended, in words; an empty text if it has not."""
    if not player.ended:
        return ""
    episode = player.episode
    return "goal reached" if episode.success else "ended without the goal" if episode.terminated else "out of time"


def title_of(env: gymnasium.Env) -> str:
    """Return the environment's ``mission``, if it has one, or else the name of the task or of the environment."""
    if isinstance(mission := getattr(env.unwrapped, "mission", None), str):
        return mission
    if env.spec is None:
        return type(env.unwrapped).__name__
    return task_of({"id": env.spec.id, **env.spec.kwargs}).replace("_", " ")


def pictures(env: gymnasium.Env) -> list[np.ndarray]:
    """Return the pictures of the last action's primitive steps, (height, width, 3), uint8; see `record`."""
    frames = getattr(env.unwrapped, "frames", None)
    try:
        pictures: Any = frames() if callable(frames) else [env.render()]
    except BaseException as error:
        if isinstance(error, UserError) or is_interruption(error):
            raise
        raise RunError(f"render_mode=rgb_array: drawing the environment {raised(error)}; correct its render()") from error
    if not pictures or not all(map(_is_picture, pictures)):
        raise UserError(
            "render_mode=rgb_array: expected the environment to draw a picture, an array of shape (height, width, 3) and uint8, "
            f"got {shown(pictures[0]) if pictures else 'none'}; use evaluation.gif=false"
        )
    return pictures


def _is_picture(picture: Any) -> bool:
    return isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def encode(film: list[Image.Image]) -> bytes:
    """Return an animated GIF with FRAME_MS per picture and LAST_MS for the last, with as many colours as its size allows."""
    content = b""
    for colors in COLORS:
        content = _encode(film, colors)
        if len(content) < MAX_BYTES:
            break
    return content


def _encode(film: list[Image.Image], colors: int) -> bytes:
    """Encode with one palette for all pictures and without dithering, so that only changed pixels are stored."""
    size = (film[0].width // 2, film[0].height // 2)  # every other pixel of some pictures is enough to choose the palette
    chosen = [picture.resize(size, Image.Resampling.NEAREST) for picture in film[:: max(1, len(film) // 6)]]
    samples = Image.new("RGB", (size[0], size[1] * len(chosen)))
    for place, picture in enumerate(chosen):
        samples.paste(picture, (0, place * size[1]))
    palette = samples.quantize(colors, method=Image.Quantize.MEDIANCUT, kmeans=2)
    first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in film)
    buffer = io.BytesIO()
    durations = [FRAME_MS] * len(rest) + [LAST_MS]
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)
    return buffer.getvalue()
