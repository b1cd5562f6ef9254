"""The agent before training, which finished runs are compared with."""

import pytest
from evaluation_tools import composed
from safetensors.torch import load_file

import twosome
from twosome.evaluation.finished import stages
from twosome.language.tuning import Lora
from twosome.runs import evaluate

OPTIONS = (
    "model=tiny_random algorithm.num_envs=2 algorithm.num_steps=8 total_steps=16 algorithm.learning_rate=0.1 "
    "evaluation.episodes=3 "
)
OPTIONS += "evaluation.gif=false retention.drift=false env.kwargs.max_primitive_steps=15"


def test_before_training_is_where_the_run_began(tmp_path):
    """With init these are the weights of that run: both agents of suite=unseen have them, as the run's own record does."""
    first = twosome.run(*OPTIONS.split(), folder=tmp_path / "first").folder
    second = twosome.run(*OPTIONS.split(), f"init={first}", "seed=1", "model.seed=0", folder=tmp_path / "second").folder
    own = {folder: load_file(folder / "adapter" / Lora.weights) for folder in (first, second)}
    found = {}
    for when, agent in stages(evaluate.finished(composed("evaluate", f"run={second}"))):
        if when != "random":
            found[when] = sorted(float(weight.abs().sum()) for weight in agent.language_model.learned())
    for when, folder in (("before", first), ("after", second)):
        assert found[when] == pytest.approx(sorted(float(weight.abs().sum()) for weight in own[folder].values()))
    assert found["before"] != found["after"]
