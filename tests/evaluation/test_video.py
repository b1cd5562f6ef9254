"""The film of an episode: every primitive step is in it, it is small, and it says how the episode ended."""

import re

import gymnasium
import numpy as np
import pytest
from evaluation_tools import Fixed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import twosome.envs  # noqa: F401 - registers the environments
from twosome.errors import RunError, UserError
from twosome.evaluation import storyboard, video
from twosome.evaluation.storyboard import Scene, compose, fit, font, visible

WINNING = (0, 2, 4, 0, 1, 3)  # get tomato, go to board 1, chop, get tomato, get bowl, deliver
CHOSEN = tuple(int(storyboard.CHOSEN[i : i + 2], 16) for i in (1, 3, 5))


def kitchen(**options):
    return gymnasium.make("twosome/Overcooked-v0", render_mode="rgb_array", **options)


def frames(path):
    film = Image.open(path)
    pictures, durations = [], []
    for number in range(film.n_frames):
        film.seek(number)
        durations.append(film.info["duration"])
        pictures.append(np.asarray(film.convert("RGB")).astype(int))
    return pictures, durations


def test_a_film_shows_every_decision_and_every_step(tmp_path):
    path = tmp_path / "episode.gif"
    episode = video.record(Fixed(WINNING), kitchen, path, 0.99, seed=0)
    assert (episode.success, episode.decisions, episode.primitive_steps) == (True, 6, 28)
    assert episode.discounted_return == pytest.approx(0.920518, abs=1e-6)
    pictures, durations = frames(path)
    assert sum(durations[:-1]) == video.FRAME_MS * (28 + 6 - 1)
    assert durations[-1] == video.LAST_MS
    assert pictures[0].shape == (storyboard.HEIGHT, storyboard.WIDTH, 3)
    assert path.stat().st_size < video.MAX_BYTES
    assert list(path.parent.iterdir()) == [path]


def test_a_long_film_stays_small_and_keeps_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "MAX_FRAMES", 20)
    path = tmp_path / "episode.gif"
    agent = Fixed((0, 3))
    episode = video.record(agent, lambda: kitchen(max_primitive_steps=60), path, 0.99, seed=0, greedy=False)
    assert not episode.success
    pictures, _ = frames(path)
    assert len(pictures) <= 20
    heading = pictures[-1][115:140, storyboard.PANEL :]  # "out of time" in red
    assert ((heading[..., 0] - heading[..., 1]) > 60).any()


def test_the_size_is_kept_by_fewer_colours(monkeypatch):
    rng = np.random.default_rng(0)
    film = [Image.fromarray(rng.integers(0, 255, (60, 60, 3), dtype=np.uint8)) for _ in range(3)]
    large = video.encode(film)
    monkeypatch.setattr(video, "MAX_BYTES", len(large) - 1)
    assert len(video.encode(film)) < len(large)


def test_an_environment_without_frames_is_rendered(tmp_path):
    class Still(gymnasium.Wrapper):
        """Hides the environment's frames()."""

        @property
        def unwrapped(self):
            return self

    video.record(Fixed(WINNING), lambda: Still(kitchen()), tmp_path / "episode.gif", 0.99, seed=0)
    assert sum(frames(tmp_path / "episode.gif")[1][:-1]) == video.FRAME_MS * (2 * 6 - 1)


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (None, "got None; use evaluation.gif=false"),
        ([], "got none; use evaluation.gif=false"),
        ([np.zeros((9, 9, 3))], "got array(["),
        (
            [np.zeros((9, 9), np.uint8)],
            "expected the environment to draw a picture, an array of shape (height, width, 3) and uint8",
        ),
        (ZeroDivisionError("no\npaint"), "drawing the environment raised ZeroDivisionError (no paint) at test_video.py:"),
        (SystemExit(0), "drawing the environment raised SystemExit (0) at test_video.py:"),
    ],
)
def test_an_environment_without_pictures_is_refused(tmp_path, drawn, said):
    def frames():
        if isinstance(drawn, BaseException):
            raise drawn
        return drawn

    env = gymnasium.make("twosome/Overcooked-v0")
    env.unwrapped.frames = frames if drawn is not None else None
    with pytest.raises((UserError, RunError)) as caught:
        video.record(Fixed(WINNING), lambda: env, tmp_path / "episode.gif", 0.99, seed=0)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_the_chosen_actions_bar_is_as_long_as_its_probability():
    scene = Scene("task", ("one", "two", "three"), (0.2, 0.5, 0.3), 1)
    picture = np.asarray(compose(np.zeros((50, 70, 3), np.uint8), scene))
    longest = (picture == CHOSEN).all(axis=2).sum(axis=1).max()
    assert longest == pytest.approx(0.5 * (storyboard.WIDTH - storyboard.MARGIN - storyboard.PANEL), abs=12)


@pytest.mark.parametrize("actions", [1, 9, 30])
def test_any_number_of_actions_fits(actions):
    scene = Scene("t" * 200, ("put it " * 40,) * actions, (1 / actions,) * actions, actions - 1)
    picture = np.asarray(compose(np.zeros((90, 60, 3), np.uint8), scene))
    border = np.asarray(Image.new("RGB", (1, 1), storyboard.PAPER))[0, 0]
    assert (picture[:, -storyboard.MARGIN + 2 :] == border).all()
    assert (picture[-storyboard.MARGIN + 5 :] == border).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.data())
def test_the_chosen_action_is_always_visible(probabilities, data):
    chosen = data.draw(st.integers(0, len(probabilities) - 1))
    shown = visible(probabilities, chosen)
    assert chosen in shown
    assert len(shown) == min(len(probabilities), storyboard.MAX_BARS)
    hidden = set(range(len(probabilities))) - set(shown)
    others = [probabilities[action] for action in shown if action != chosen]
    assert all(probabilities[action] <= min(others, default=1) for action in hidden)


@given(st.text(max_size=80), st.floats(0, 300))
def test_a_fitted_text_fits(text, width):
    cut = fit(text, 15, width)
    assert cut == "…" or font(15).getlength(cut) <= width


def test_a_fitted_text_keeps_both_ends():
    cut = [fit(f"put the chopped tomato on the {number} cutting board", 15, 306) for number in ("first", "second")]
    assert all(re.fullmatch("put the chopped.*….* cutting board", text) for text in cut)
    assert cut[0] != cut[1]


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("tomato lettuce onion salad", ["tomato lettuce onion salad"]),
        ("put a red box next to a grey key", ["put a red box next to a grey key"]),
        (
            "go to the yellow ball after you pick up the purple key",
            ["go to the yellow ball after you pick up the", "purple key"],
        ),
    ],
)
def test_a_long_title_has_two_lines(title, lines):
    assert [line for _, _, line in storyboard.title_lines(title, 372)] == lines


@given(st.text(max_size=200), st.integers(20, 400))
def test_a_titles_lines_fit(title, width):
    for _, size, line in storyboard.title_lines(title, width):
        assert line == "…" or font(size, bold=True).getlength(line) <= width
