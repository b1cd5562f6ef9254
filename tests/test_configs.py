"""Every configuration file composes, and names only what exists. New files are found by themselves."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import pytest
from composing import CHOICES, CONFIGS, EXPERIMENTS, FILES, compose, targets
from hydra.errors import ConfigCompositionException
from hydra.utils import get_object
from omegaconf import OmegaConf

from twosome import build
from twosome.config import typed
from twosome.errors import UserError

ENTRIES = [path.stem for path in FILES if path.parent == Path()]


def test_the_groups_are_found():
    assert {choice.partition("=")[0] for choice in CHOICES} >= {
        *("env", "norm", "baseline", "model", "algorithm", "trainer", "logger", "experiment")
    }


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_composes(entry):
    config = compose(entry=entry)
    assert all(map(get_object, targets(OmegaConf.to_container(config, resolve=False))))


@pytest.mark.parametrize("path", sorted((CONFIGS / "env").glob("*.yaml")), ids=lambda path: path.stem)
def test_environment_is_made(path):
    env = build.environment(compose(f"env={path.stem}").env)()
    _, info = env.reset(seed=0)
    assert len(info["action_ids"]) == len(info["action_prompts"]) > 0
    env.close()


ROLLOUTS = {"ppo": (32, 32, 6, 16, 4), "ppo_paper": (4, 32, 32, 1, 4),
            "ppo_glam": (32, 40, 20, 4, 4), "ppo_scratch": (4, 128, 4, 4, 4),
            "ppo_scratch_babyai": (64, 40, 2, 4, 4), "poad": (32, 32, 6, 16, 4)}  # fmt: skip


@pytest.mark.parametrize("algorithm", ROLLOUTS)
def test_variants_of_ppo_have_their_own_rollouts(algorithm):
    names = ("num_envs", "num_steps", "num_minibatches", "value_update_epochs", "value_num_minibatches")
    assert tuple(compose(f"algorithm={algorithm}").algorithm[name] for name in names) == ROLLOUTS[algorithm]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("algorithm.num_envs=many", "algorithm.num_envs=many: expected an integer"),
        ("algorithm=ppo_paper algorithm.num_envs=3 algorithm.num_steps=1", "algorithm.num_minibatches=32: expected a divisor of"),
        ("algorithm.num_envs=1 algorithm.num_steps=6", "algorithm.value_num_minibatches=4: expected a divisor of"),
        ("baseline=grpo algorithm.group_size=1", "algorithm.group_size=1: expected"),
    ],
)
def test_an_algorithm_refuses_values_in_one_line(words, said):
    with pytest.raises(UserError) as raised:
        build.algorithm(compose(*words.split()))
    assert str(raised.value).startswith(said)


def test_a_baseline_chooses_its_algorithm_unless_another_is_asked_for():
    assert compose("baseline=ppo").algorithm.num_steps == 128
    assert compose("baseline=ppo", "algorithm.num_steps=7").algorithm.num_steps == 7
    assert compose("baseline=ppo", "algorithm=ppo_paper").algorithm == compose("algorithm=ppo_paper").algorithm
    glam = compose("baseline=glam")
    assert (glam.algorithm, glam.norm) == (compose("algorithm=ppo_glam").algorithm, compose("norm=none").norm)
    assert compose("baseline=glam", "norm=word").norm == compose().norm
    assert compose("baseline=bc", "tuning=full", "value_head=state").value_head == glam.value_head


@pytest.mark.parametrize("words", ["baseline=ppo value_head=state", "baseline=poad policy_head=actions", "affordance=oracle"])
def test_a_part_is_refused_for_agents_without_it(words):
    with pytest.raises(ConfigCompositionException, match="Could not override"):
        compose(*words.split())


def learning_rates(*overrides: str) -> tuple[float, float]:
    algorithm = compose(*overrides).algorithm
    return algorithm.learning_rate, algorithm.value_learning_rate


def test_ppo_learns_at_the_papers_rate_for_the_task_or_at_cleanrls():
    assert learning_rates("baseline=ppo") == (1e-4, 1e-4)
    assert learning_rates("baseline=ppo", "env.task=tomato_lettuce_salad") == (5e-4, 5e-4)
    assert learning_rates("baseline=ppo", "env.task=onion_salad") == (2.5e-4, 2.5e-4)
    assert learning_rates("baseline=ppo", "algorithm.learning_rate=0.1") == (0.1, 0.1)
    without = ("baseline=ppo", "~env.task", "~env.ppo_learning_rates", "~env.reference_steps")  # another environment's YAML
    assert learning_rates(*without) == (2.5e-4, 2.5e-4)
    assert compose(*without).algorithm.anneal_steps == 0


def test_glam_as_published_is_one_word():
    glam = compose("experiment=glam_flan_t5")
    size = glam.algorithm.num_envs * glam.algorithm.num_steps
    assert (size, size / glam.algorithm.num_minibatches, glam.algorithm.learning_rate) == (1280, 64, 1e-6)
    assert (glam.env.task, glam.env.kwargs.reward_scale, glam.total_steps) == ("mixed", 20, 1_500_000)
    assert glam.algorithm.pairwise_vloss
    assert not glam.algorithm.bootstrap_truncated


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
