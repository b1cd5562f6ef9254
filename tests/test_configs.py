"""Every configuration file composes, and names only what exists. New files are found by themselves."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import pytest
from composing import CHOICES, CONFIGS, EXPERIMENTS, FILES, compose, targets
from hydra.utils import get_object
from omegaconf import OmegaConf

from twosome import parts
from twosome.algorithms.ppo.config import PPOConfig
from twosome.config import default_minibatches, typed
from twosome.errors import UserError

ENTRIES = [path.stem for path in FILES if path.parent == Path()]
PRESETS = sorted((CONFIGS / "preset").glob("*.yaml"))


def test_the_groups_are_found():
    assert {choice.partition("=")[0] for choice in CHOICES} >= {
        *("env", "norm", "baseline", "model", "preset", "trainer", "logger", "experiment")
    }


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_composes(entry):
    config = compose(entry=entry)
    assert all(map(get_object, targets(OmegaConf.to_container(config, resolve=False))))


@pytest.mark.parametrize("path", sorted((CONFIGS / "env").glob("*.yaml")), ids=lambda path: path.stem)
def test_environment_is_made(path):
    env = parts.environment(compose(f"env={path.stem}").env)()
    _, info = env.reset(seed=0)
    assert len(info["action_ids"]) == len(info["action_prompts"]) > 0
    env.close()


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_name_every_setting(path):
    """By itself, or by the preset that it builds on."""
    assert list(compose(f"preset={path.stem}").ppo) == [field.name for field in dataclasses.fields(PPOConfig)]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_minibatches_that_nobody_asked_for_fit_every_rollout(path):
    ppo = compose(f"preset={path.stem}").ppo
    for ppo.num_envs, ppo.num_steps in [(1, 2), (3, 1), (7, 5), (2, 2), (6, 16)]:
        typed(PPOConfig, ppo, "ppo")
    asked = compose(f"preset={path.stem}", "ppo.num_envs=1", "ppo.num_steps=6", "ppo.value_num_minibatches=4")
    with pytest.raises(UserError, match=r"ppo\.value_num_minibatches=4: expected a divisor"):
        typed(PPOConfig, asked.ppo, "ppo")


@pytest.mark.parametrize(
    ("most", "rollout", "parts"),
    [(4, (32, 32), 4), (32, (4, 32), 32), (32, (1, 32), 16), (4, (1, 1), 1), (4, (3, 1), 1), (4, (2, 2), 2), (4, (31, 1), 1),
     (4, (5, 2), 2), (32, (5, 7), 7), (4, (0, 8), 1), (4, (-1, 8), 1)],
)  # fmt: skip
def test_presets_cut_a_rollout_into_as_many_minibatches_as_leave_two_samples(most, rollout, parts):
    assert default_minibatches(most, *rollout) == parts


def test_presets_cut_their_own_rollouts_as_they_always_did():
    names = ("num_minibatches", "gradient_accumulation_steps", "value_num_minibatches")
    found = {path.stem: [compose(f"preset={path.stem}").ppo[name] for name in names] for path in PRESETS}
    assert found == {
        **{"paper": [32, 8, 4], "ppo": [4, 1, 4], "decisions": [6, 1, 4], "sparse": [1, 1, 4], "wide": [1, 1, 4]},
        **{"glam": [20, 1, 4], "glam_symbolic": [2, 1, 4]},
    }
    assert compose("preset=paper", "ppo.num_minibatches=4").ppo.gradient_accumulation_steps == 4


@pytest.mark.parametrize("value", ["many", "null", "1.5"])
def test_a_rollout_that_is_no_number_is_reported_by_its_own_name(value):
    with pytest.raises(UserError, match=r"^ppo\.num_envs="):
        typed(PPOConfig, compose("preset=paper", f"ppo.num_envs={value}").ppo, "ppo")


def learning_rates(*overrides: str) -> tuple[float, float]:
    config = compose(*overrides)
    return config.ppo.learning_rate, config.ppo.value_learning_rate


def test_a_baseline_chooses_its_preset_unless_another_is_asked_for():
    assert compose("baseline=ppo").ppo.num_steps == 128
    assert compose("baseline=ppo", "ppo.num_steps=7").ppo.num_steps == 7
    assert compose("baseline=ppo", "preset=wide").ppo == compose("preset=wide").ppo
    assert compose("baseline=ppo", "preset=paper", "ppo.clip_coef=0.3").ppo == compose("preset=paper", "ppo.clip_coef=0.3").ppo
    glam = compose("baseline=glam")
    assert (glam.ppo, glam.norm) == (compose("preset=glam").ppo, compose("norm=none").norm)
    assert compose("baseline=glam", "norm=word").norm == compose().norm
    size = glam.ppo.num_envs * glam.ppo.num_steps
    assert (size, size / glam.ppo.num_minibatches, glam.ppo.learning_rate) == (1280, 64, 1e-6)


def test_ppo_learns_at_the_papers_rate_for_the_task_or_at_cleanrls():
    assert learning_rates("baseline=ppo") == (1e-4, 1e-4)
    assert learning_rates("baseline=ppo", "env.task=tomato_lettuce_salad") == (5e-4, 5e-4)
    assert learning_rates("baseline=ppo", "env.task=onion_salad") == (2.5e-4, 2.5e-4)
    assert learning_rates("baseline=ppo", "ppo.learning_rate=0.1") == (0.1, 0.1)
    without = ("baseline=ppo", "~env.task", "~env.ppo_learning_rates", "~env.reference_steps")  # another environment's YAML
    assert learning_rates(*without) == (2.5e-4, 2.5e-4)
    assert compose(*without).ppo.anneal_steps == 0


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_begins_with_its_own_command(path):
    first = next(line for line in path.read_text().splitlines() if not line.startswith("# @package"))
    words = shlex.split(first.removeprefix("# "))
    assert words[:2] == ["python", "src/run.py"]
    assert f"experiment={path.stem}" in words
    overrides = [word for word in words[2:] if word != "-m"]
    if "-m" not in words:
        compose(*overrides)


@dataclasses.dataclass
class Inner:
    """Options below an option."""

    rank: int = 8


@dataclasses.dataclass
class Outer:
    """A field of every type that settings have."""

    seed: int
    rate: float = 0.1
    gif: bool = True
    name: str = "it"
    run: str | None = None
    limit: int | None = None
    sizes: list[int] = dataclasses.field(default_factory=list)
    words: list[str] | None = None
    more: dict[str, Any] = dataclasses.field(default_factory=dict)
    inner: Inner = dataclasses.field(default_factory=Inner)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": True}, "x.seed=true: expected an integer"),
        ({"seed": None}, "x.seed=null: expected an integer"),
        ({"seed": 1.5}, "x.seed=1.5: expected an integer"),
        ({"rate": "fast"}, "x.rate=fast: expected a number"),
        ({"gif": "maybe"}, "x.gif=maybe: expected true or false"),
        ({"gif": 3}, "x.gif=3: expected true or false"),
        ({"name": ["a", 1]}, "x.name=[a,1]: expected one text"),
        ({"run": {"a": True}}, "x.run={a:true}: expected one text, or null"),
        ({"limit": "all"}, "x.limit=all: expected an integer, or null"),
        ({"sizes": "big"}, "x.sizes=big: expected a list of integers, as in [1,2]"),
        ({"sizes": ["a"]}, "x.sizes=[a]: expected a list of integers, as in [1,2]"),
        ({"sizes": [[1]]}, "x.sizes=[[1]]: expected a list of integers, as in [1,2]"),
        ({"words": 3}, "x.words=3: expected a list, as in [one,two], or null"),
        ({"more": 3}, "x.more=3: expected options, {name: value}"),
        ({"inner": 3}, "x.inner=3: expected options, as in x.inner.<option>=...; there is no choice of it"),
        ({"inner": {"rank": "x"}}, "x.inner.rank=x: expected an integer"),
        ({"inner": {"rnk": 1}}, "x.inner.rnk: no such option; expected one of rank; did you mean x.inner.rank?"),
        (
            {"seed": "${nowhere}"},
            "x.seed=${nowhere}: expected the name of another option in ${...} (Interpolation key 'nowhere' not",
        ),
        ({"seed": "${.seed}"}, "x.seed=${.seed}: expected the name of another option in ${...} (Recursive"),
    ],
)
def test_the_type_that_is_expected_is_the_declared_one(given, said):
    with pytest.raises(UserError) as raised:
        typed(Outer, OmegaConf.create({"seed": 1} | given), "x")
    assert str(raised.value).startswith(said)


def test_a_setting_without_default_must_be_there():
    with pytest.raises(UserError, match=r"^x\.seed is missing: expected an integer"):
        typed(Outer, OmegaConf.create({"rate": 1}), "x")
    assert typed(Outer, OmegaConf.create({"seed": "3", "gif": "no", "sizes": [1], "inner": {"rank": 2}}), "x") == Outer(
        seed=3, gif=False, sizes=[1], inner=Inner(2)
    )


@pytest.mark.parametrize("path", FILES, ids=str)
def test_file_says_what_it_is_for(path):
    assert (CONFIGS / path).read_text().startswith("#")
