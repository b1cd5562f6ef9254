"""The options of src/benchmark.py."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from twosome.config import own_settings
from twosome.errors import UserError, check_seed
from twosome.language.config import check_path
from twosome.parts import environment, model_config
from twosome.policies.context import MakeEnv


@dataclass
class BenchmarkConfig:
    """The options of conf/benchmark.yaml."""

    seed: int
    tasks: list[str]
    oracle_decisions: int
    output: str

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        if not self.tasks:
            raise UserError("tasks=[]: expected one task of the environment or more, as in tasks=[tomato_salad]")
        if self.oracle_decisions not in range(4, 129, 4):
            raise UserError(f"oracle_decisions={self.oracle_decisions}: expected a multiple of 4 from 4 to 128")
        if Path(self.output).is_dir() or not Path(self.output).absolute().parent.is_dir():
            raise UserError(f"output={self.output}: expected a file in a folder that is there; make the folder first")


def checked_benchmark(config: DictConfig) -> tuple[BenchmarkConfig, dict[str, MakeEnv]]:
    """Return the benchmark's options and, for each task, a function that makes its environment. Raises UserError."""
    options = own_settings(BenchmarkConfig, config)
    check_path(model_config(config.model, config.trainer.accelerator))
    makers = {task: environment(OmegaConf.merge(config, {"env": {"task": task}}).env) for task in options.tasks}
    return options, makers
