"""The film of an episode: every primitive step is in it, it is small, and it says how the episode ended."""

import gymnasium
import numpy as np
import pytest
from evaluation_tools import Fixed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import twosome.envs  # noqa: F401 - registers the environments
from twosome.evaluation import film
from twosome.evaluation.film import compose, fit, font, title_lines, visible

WINNING = (0, 2, 4, 0, 1, 3)  # get tomato, go to board 1, chop, get tomato, get bowl, deliver


def kitchen(**options):
    return gymnasium.make("twosome/Overcooked-v0", render_mode="rgb_array", **options)


def frames(path):
    found = Image.open(path)
    pictures, durations = [], []
    for number in range(found.n_frames):
        found.seek(number)
        durations.append(found.info["duration"])
        pictures.append(np.asarray(found.convert("RGB")).astype(int))
    return pictures, durations


def test_a_film_shows_every_decision_and_every_step(tmp_path):
    path = tmp_path / "episode.gif"
    episode = film.record(Fixed(WINNING), kitchen, path, 0.99, seed=0)
    assert (episode.success, episode.decisions, episode.primitive_steps) == (True, 6, 28)
    assert episode.discounted_return == pytest.approx(0.920518, abs=1e-6)
    pictures, durations = frames(path)
    assert sum(durations[:-1]) == film.FRAME_MS * (28 + 6 - 1)
    assert durations[-1] == film.LAST_MS
    assert pictures[0].shape == (film.HEIGHT, film.WIDTH, 3)
    assert path.stat().st_size < film.MAX_BYTES
    assert list(path.parent.iterdir()) == [path]


def test_a_long_film_stays_small_and_keeps_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(film, "MAX_FRAMES", 20)
    path = tmp_path / "episode.gif"
    episode = film.record(Fixed((0, 3)), lambda: kitchen(max_primitive_steps=60), path, 0.99, seed=0, greedy=False)
    assert not episode.success
    pictures, _ = frames(path)
    assert len(pictures) <= 20
    heading = pictures[-1][115:140, film.PANEL :]  # "out of time" in red
    assert ((heading[..., 0] - heading[..., 1]) > 60).any()


@pytest.mark.parametrize("actions", [1, 9, 30])
def test_any_number_of_actions_fits(actions):
    texts, shares = ("put it " * 40,) * actions, (1 / actions,) * actions
    picture = np.asarray(compose(np.zeros((90, 60, 3), np.uint8), "t" * 200, texts, shares, actions - 1))
    border = np.asarray(Image.new("RGB", (1, 1), film.PAPER))[0, 0]
    assert (picture[:, -film.MARGIN + 2 :] == border).all()
    assert (picture[-film.MARGIN + 5 :] == border).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.data())
def test_the_chosen_action_is_always_visible(probabilities, data):
    chosen = data.draw(st.integers(0, len(probabilities) - 1))
    shown = visible(probabilities, chosen)
    assert chosen in shown
    assert len(shown) == min(len(probabilities), film.MAX_BARS)
    others = [probabilities[action] for action in shown if action != chosen]
    assert all(probabilities[action] <= min(others, default=1) for action in set(range(len(probabilities))) - set(shown))


@given(st.text(max_size=200), st.floats(20, 400))
def test_a_fitted_text_and_a_titles_lines_fit(text, width):
    for size, line in [(15, fit(text, 15, width, bold=True)), *(each[1:] for each in title_lines(text, int(width)))]:
        assert line == "…" or font(size, bold=True).getlength(line) <= width


def test_a_long_title_has_two_lines():
    title = "go to the yellow ball after you pick up the purple key"
    assert [line for _, _, line in title_lines("tomato lettuce onion salad", 372)] == ["tomato lettuce onion salad"]
    assert [line for _, _, line in title_lines(title, 372)] == ["go to the yellow ball after you pick up the", "purple key"]
