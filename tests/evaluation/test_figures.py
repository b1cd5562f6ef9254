"""The learning curve: the right means, a picture in every case, and nothing global touched."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

from twosome.evaluation.figures import learning_curve, read_episodes, running_mean
from twosome.storage.folder import RunFolder

ENV = {"id": "twosome/Overcooked-v0", "task": "tomato_salad"}
CONFIG = OmegaConf.create({"seed": 3, "total_steps": 1000, "env": ENV, "algorithm": {"num_envs": 1}})
ORANGE = (213, 94, 0)


def rows(*episodes):
    names = ("env_step", "env", "discounted_return", "decisions", "success")
    return [dict(zip(names, (step, 0, value, 5, win), strict=True)) for step, value, win in episodes]


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(-1, 1)), min_size=1, max_size=40), st.integers(1, 100))
def test_the_running_mean_is_that_of_the_window(episodes, window):
    steps, values = map(np.array, zip(*sorted(episodes), strict=True))
    at, means = running_mean(steps, values, window)
    assert at[-1] == steps[-1]
    for step, mean in zip(at, means, strict=True):
        assert mean == pytest.approx(values[(steps > step - window) & (steps <= step)].mean(), abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 200])
@pytest.mark.parametrize("optimum", [None, 0.92])
def test_a_picture_for_any_number_of_episodes(tmp_path, count, optimum):
    folder = RunFolder(tmp_path)
    folder.table("episodes.csv").extend(rows(*((5 * n + 5, n / 300, n % 2 == 0) for n in range(count))))
    before = dict(matplotlib.rcParams)
    learning_curve(folder, CONFIG, tmp_path / "curve.png", optimum)
    assert dict(matplotlib.rcParams) == before
    picture = np.asarray(Image.open(tmp_path / "curve.png").convert("RGB"))
    assert picture.shape == (726, 792, 3)
    assert (picture == ORANGE).all(axis=2).any() == (optimum is not None)


def test_episodes_count_where_they_began_up_to_the_first_unfinished_one(tmp_path):
    folder = RunFolder(tmp_path)
    ended = [(10, 0, 0.5, 5), (20, 1, 0.9, 10), (30, 0, 0.1, 10), (60, 1, 0.7, 20), (40, 0, 0.2, 5)]
    folder.table("episodes.csv").extend(
        {**rows((step, value, True))[0], "env": env, "decisions": decisions} for step, env, value, decisions in ended
    )
    drawn = read_episodes(folder, envs=2)  # environment 0 has an unfinished episode, which began at step 40
    assert drawn.began.tolist() == [0, 0, 10, 20, 30]
    assert drawn.discounted_return.tolist() == [0.5, 0.9, 0.1, 0.7, 0.2]
