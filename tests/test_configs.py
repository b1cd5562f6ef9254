"""Every configuration file composes, and names only what exists. New files are found by themselves."""

import dataclasses
import shlex
from pathlib import Path

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
    words = ["env.task=cooking", "env.kwargs.num_games=1"] if path.stem == "textworld" else []  # games that other tests generate
    env = build.environment(compose(f"env={path.stem}", *words).env)()
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
        ("algorithm.num_envs=many", "algorithm.num_envs: Value 'many' of type 'str' could not be converted"),
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
class Options:
    """Options of two types."""

    seed: int
    rate: float = 0.1


@pytest.mark.parametrize(("given", "said"), [
    ({"seed": "one"}, "x.seed: Value 'one' of type 'str' could not be converted to Integer"),
    ({"seed": 1, "rate": "fast"}, "x.rate: Value 'fast' of type 'str' could not be converted to Float"),
    ({"seed": 1, "rat": 1}, "x.rat: Key 'rat' not in 'Options'"),
    ({"rate": 1}, "x.seed: Structured config of type `Options` has missing mandatory value: seed"),
])  # fmt: skip
def test_an_option_of_another_type_is_one_line(given, said):
    with pytest.raises(UserError) as raised:
        typed(Options, OmegaConf.create(given), "x")
    assert str(raised.value) == said


@pytest.mark.parametrize("path", FILES, ids=str)
def test_file_says_what_it_is_for(path):
    assert (CONFIGS / path).read_text().startswith("#")
