"""The engine and its opponents do the same work, on decisions that recur or do not."""

from collections.abc import Iterator

import hydra
import pytest
from hydra import compose
from omegaconf import DictConfig

from twosome.benchmark import synthetic
from twosome.benchmark.config import WORKS, checked_benchmark
from twosome.benchmark.contestants import Contestants
from twosome.benchmark.workloads import Workload, random_rollout, workloads
from twosome.config import CONFIGS
from twosome.errors import UserError
from twosome.policies.context import MakeEnv

OPTIONS = ["model=tiny_random", "tasks=[tomato_salad]", "num_envs=2", "num_steps=6", "repeat_tokens=150"]


@pytest.fixture(scope="module")
def config() -> Iterator[DictConfig]:
    """The command's configuration; `workloads` composes a run's as well."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield compose("benchmark", OPTIONS)


@pytest.fixture(scope="module")
def makers(config: DictConfig) -> dict[str, MakeEnv]:
    return checked_benchmark(config)[1]


@pytest.fixture(scope="module")
def contestants(config: DictConfig, makers: dict[str, MakeEnv]) -> Contestants:
    return Contestants.of(config, makers["tomato_salad"])


@pytest.fixture(scope="module")
def of_task(config: DictConfig, makers: dict[str, MakeEnv], contestants: Contestants) -> dict[str, Workload]:
    options, _ = checked_benchmark(config)
    found = workloads("tomato_salad", makers["tomato_salad"], contestants.agent, contestants.fresh, options, options.num_steps)
    return {workload.name: workload for workload in found}


def test_every_kind_of_work(of_task: dict[str, Workload]) -> None:
    assert tuple(of_task) == WORKS
    for workload in of_task.values():
        assert len(workload.decisions) == 12 > len(workload.distinct)
        assert sorted(text for part in workload.passes() for text in part) == sorted(workload.distinct)
    assert of_task["first_rollout"].met == []
    assert set(of_task["update"].met) >= {*of_task["later_rollout"].met, *of_task["update"].distinct}
    assert of_task["later_rollout"].met
    assert len(of_task["first_rollout"].passes()) == 6
    assert len(of_task["update"].passes()) == 1


@pytest.mark.parametrize("name", WORKS)
def test_a_round_times_everyone(name: str, of_task: dict[str, Workload], contestants: Contestants) -> None:
    contestants.cached.size = 4
    costs = dict(contestants.round(of_task[name]))
    rollout = ("engine", "cached", "remembered", "repeat")
    assert tuple(costs) == (rollout if name != "update" else ("engine", "cached", "repeat"))
    assert costs["repeat"].tokens > 3 * costs["cached"].tokens
    assert costs["cached"].tokens > costs.get("remembered", costs["engine"]).tokens
    assert all(cost.seconds > 0 and cost.flops > 0 for cost in costs.values())
    assert {name: cost.tokens for name, cost in contestants.round(of_task[name])} == {
        name: cost.tokens for name, cost in costs.items()
    }
    assert all(parameter.grad is None for parameter in contestants.agent.lm.parameters())


def test_without_memory_only_the_decisions_of_a_step_are_distinct(of_task: dict[str, Workload], contestants: Contestants) -> None:
    workload = of_task["first_rollout"]
    contestants.cached.size = 1
    cost = dict(contestants.round(workload))["cached"]
    contestants.cached.tokens_computed = 0
    for step in workload.steps:
        for text in dict.fromkeys(decision.text for decision in step):
            contestants.cached.score([text])
    assert cost.tokens == contestants.cached.tokens_computed


def test_what_is_repeated_is_a_part_of_the_rows(of_task: dict[str, Workload], contestants: Contestants) -> None:
    decisions = of_task["update"].decisions
    few, factor = contestants.part(decisions)
    rows = [sum(sum(contestants._row_lengths(decision)) for decision in each) for each in (few, decisions)]
    assert factor == rows[1] / rows[0] > 1
    assert 150 <= rows[0] < 150 + max(max(contestants._row_lengths(decision)) for decision in few)
    contestants.repeat_tokens, before = 10**9, contestants.repeat_tokens
    assert contestants.part(decisions) == (decisions, 1.0)
    contestants.repeat_tokens = before


def test_the_batch_of_the_cached_opponent_is_the_fastest(of_task: dict[str, Workload], contestants: Contestants) -> None:
    distinct = of_task["update"].distinct
    found = contestants.choose_size(distinct, True, [1, 3, 1_000])
    assert list(found["seconds_by_batch"]) == [1, 3, len(distinct)]
    assert found["seconds_by_batch"][contestants.cached.size] == min(found["seconds_by_batch"].values())
    assert contestants.cached.size == found["decisions_per_batch"]
    assert found["largest_difference"] < 1e-4


@pytest.mark.parametrize(("task", "actions"), [("nothing_recurs", 6), ("many_actions", 50)])
def test_random_prompts_never_recur(task: str, actions: int, makers: dict[str, MakeEnv]) -> None:
    rollouts = [random_rollout(makers[task], 2, synthetic.STEPS + 2, seed) for seed in (0, 0, 1)]
    first, same, other = ([decision.text for step in rollout for decision in step] for rollout in rollouts)
    assert first == same
    assert len({prompt for prompt, _ in first + other}) == 2 * len(first) == 4 * (synthetic.STEPS + 2)
    assert {len(set(words)) for _, words in first} == {actions}


def test_an_unknown_kind_of_random_prompts() -> None:
    with pytest.raises(UserError, match="task=some: expected one of many_actions, nothing_recurs"):
        synthetic.Synthetic("some")
