"""The options of src/benchmark.py."""

from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from twosome.benchmark import synthetic
from twosome.config import own_settings
from twosome.errors import UserError, check_seed, unknown_choice
from twosome.language.config import check_path
from twosome.parts import environment, model_config
from twosome.policies.context import MakeEnv

WORKS = ("first_rollout", "later_rollout", "update")
MEMORY_RUNS = {
    "tomato_salad": ("env=overcooked", "env.task=tomato_salad"),
    "tomato_lettuce_salad": ("env=overcooked", "env.task=tomato_lettuce_salad"),
    "food_preparation": ("env=virtualhome", "env.task=food_preparation"),
    "entertainment": ("env=virtualhome", "env.task=entertainment"),
    "nothing_recurs": ("env=overcooked",),
}
"""The runs whose memory is measured, and their options; nothing_recurs has synthetic.py's environment."""


@dataclass
class BenchmarkConfig:
    """The options of conf/benchmark.yaml."""

    seed: int
    tasks: list[str]
    synthetic: list[str]
    works: list[str]
    rounds: int
    num_envs: int
    num_steps: int
    synthetic_steps: int
    cached_sizes: list[int]
    repeat_tokens: int
    memory: bool
    memory_updates: int
    memory_runs: list[str] | None
    output: str

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        self._check_choices()
        for name, least in (("rounds", 1), ("num_envs", 2), ("num_steps", 1), ("synthetic_steps", 1), ("repeat_tokens", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name}={getattr(self, name)}: expected an integer from {least} on")
        if not self.cached_sizes or min(self.cached_sizes) < 1:
            raise UserError(f"cached_sizes={self.cached_sizes}: expected numbers of decisions above 0, as in [2,4,8]")
        if self.memory_updates < 8:
            raise UserError(f"memory_updates={self.memory_updates}: expected 8 or more, since their quarters are compared")
        if Path(self.output).is_dir() or not Path(self.output).absolute().parent.is_dir():
            raise UserError(f"output={self.output}: expected a file in a folder that is there; make the folder first")

    def _check_choices(self) -> None:
        """Check the lists of workloads."""
        for name, choices in (("synthetic", synthetic.TASKS), ("works", WORKS), ("memory_runs", tuple(MEMORY_RUNS))):
            chosen = getattr(self, name)
            if chosen == [] and name != "synthetic":
                raise UserError(f"{name}=[]: expected one of {', '.join(choices)} or more")
            for each in chosen or ():
                if each not in choices:
                    raise unknown_choice(name, each, choices)
        if not self.tasks and not self.synthetic:
            raise UserError("tasks=[] synthetic=[]: expected one task of the environment or more, as in tasks=[tomato_salad]")


def checked_benchmark(config: DictConfig) -> tuple[BenchmarkConfig, dict[str, MakeEnv]]:
    """Return the benchmark's options and a function that makes the environment of each task. Raises UserError."""
    options = own_settings(BenchmarkConfig, config)
    check_path(model_config(config.model, config.trainer.accelerator))
    if options.memory:
        _check_forwarded(options)
        return options, {}
    makers = {task: environment(OmegaConf.merge(config, {"env": {"task": task}}).env) for task in options.tasks}
    home = f"{synthetic.__name__}:{synthetic.ID}"
    return options, makers | {task: environment(OmegaConf.create({"id": home, "task": task})) for task in options.synthetic}


def _check_forwarded(options: BenchmarkConfig) -> None:
    """Raise UserError for options of the environment, which the runs have their own of."""
    for word in forwarded(options):
        if word.lstrip("+~").startswith(("env=", "env.")):
            raise UserError(f"{word}: expected none with memory=true, whose runs are memory_runs; leave it out")


def forwarded(options: BenchmarkConfig) -> list[str]:
    """Return the words of the command line that are a run's options as well, such as model=tiny_random."""
    words = HydraConfig.get().overrides.task
    return [word for word in words if word.lstrip("+~").split("=")[0] not in vars(options) or word.startswith("seed=")]
