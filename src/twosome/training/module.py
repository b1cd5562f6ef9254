"""The LightningModule: each Lightning epoch is one update of an algorithm."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule

from twosome import seeding
from twosome.agents.agent import LearningAgent
from twosome.algorithms.algorithm import Algorithm, EnvRunner, Progress
from twosome.envs.vector import Episode
from twosome.errors import UserError


class LearningModule(LightningModule):
    """A LightningModule that trains a learning agent with an algorithm.

    All random numbers of training come from ``generator`` and from the environments' own generators. A checkpoint holds the
    states of these generators, of every environment, of the algorithm and of the agent, so that a resumed run gives the same
    results as an uninterrupted one.
    """

    def __init__(
        self,
        agent: LearningAgent,
        runner: EnvRunner,
        algorithm: Algorithm,
        num_updates: int,
        generator: torch.Generator,
        fingerprint: str = "",
    ) -> None:
        """generator: for sampled actions and all other random numbers of learning. fingerprint: the run's."""
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False  # the frozen base model is not in the checkpoint; on_load_checkpoint is strict instead
        self.agent, self.runner, self.algorithm = agent, runner, algorithm
        self.num_updates, self.generator, self.fingerprint = num_updates, generator, fingerprint
        self.optimizer_steps = 0  # of the first optimiser, in the run so far

    def train_dataloader(self) -> list[int]:
        """Return one dummy batch per epoch; training_step collects the data."""
        return [0]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the algorithm's optimizers. The steps of the first one, the policy's, are counted."""
        optimizers = self.algorithm.optimizers(self.agent)
        optimizers[0].register_step_post_hook(self._count_step)
        return optimizers

    def _count_step(self, *_: Any) -> None:
        self.optimizer_steps += 1

    def configure_model(self) -> None:
        """Do nothing; ModelParallelStrategy requires the method. A model is sharded when it is loaded, also for evaluation."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Do one update; return ``metrics``, a row of metrics.csv (see docs/run-folder.md), and ``episodes`` that ended."""
        optimizers: Any = self.optimizers()  # Lightning returns a list, or a single optimizer
        start = time.perf_counter()
        collected = self.collect()
        between = time.perf_counter()
        self.agent.train()
        progress = Progress(self.current_epoch, self.num_updates)
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        with self.seeded():
            learned = self.algorithm.update(self.agent, collected, optimizers, progress, self.generator)
        done = time.perf_counter()
        timing = {"rollout_seconds": between - start, "update_seconds": done - between,
                  "steps_per_second": self.algorithm.batch_size / (done - start)}  # fmt: skip
        episodes = self.runner.take_episodes()
        metrics = {"update": self.current_epoch + 1, "env_steps": self.runner.env_steps,
                   "optimizer_steps": self.optimizer_steps, **summarize(episodes)}  # fmt: skip
        return {"metrics": metrics | learned | self.agent.counters() | timing, "episodes": episodes}

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Seed PyTorch's default generators, which draw LoRA's dropout, by the run's seed and the update within the context."""
        device = next(self.agent.parameters(), torch.empty(0)).device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seeding.number(self.generator.initial_seed(), f"update {self.current_epoch}"))
            yield

    @torch.no_grad()
    def collect(self) -> Any:
        """Collect the data of the next update."""
        self.agent.eval()
        self.agent.begin_rollout()
        return self.algorithm.collect(self.agent, self.runner, self.generator)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the state without the frozen base model."""
        frozen = self._frozen()
        return {name: value for name, value in super().state_dict(*args, **kwargs).items() if name not in frozen}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add all states besides weights, as plain values and tensors only, so that ``weights_only=True`` can load them."""
        checkpoint["run"] = {
            "runner": self.runner.state_dict(),
            "algorithm": self.algorithm.state_dict(),
            "generator": self.generator.get_state(),
            "optimizer_steps": self.optimizer_steps,
            "fingerprint": self.fingerprint,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the states of a checkpoint.

        Raises UserError if it is another run's, or was written by another version.
        """
        state = checkpoint["run"]
        if state["fingerprint"] != self.fingerprint:
            raise UserError("resume: the checkpoint is of a run with another configuration than config.yaml, expected the same")
        if checkpoint["state_dict"].keys() - self._frozen() != self.state_dict().keys():
            raise UserError("resume: the checkpoint is of another version of the suite; finish the run with that version")
        self.runner.load_state_dict(state["runner"])
        self.algorithm.load_state_dict(state["algorithm"])
        self.generator.set_state(state["generator"])
        self.optimizer_steps = state["optimizer_steps"]

    def _frozen(self) -> set[str]:
        """Return the names of the base model's weights, all names of shared ones included (a tied output layer)."""
        named = self.named_parameters(remove_duplicate=False)
        return {name for name, parameter in named if not parameter.requires_grad}


def summarize(episodes: list[Episode]) -> dict[str, float]:
    """Return means over the episodes that ended in a rollout; nan if none did."""
    if not episodes:
        return {"episodes": 0, "return": float("nan"), "success_rate": float("nan"), "episode_decisions": float("nan")}
    return {
        "episodes": len(episodes),
        "return": float(np.mean([episode.discounted_return for episode in episodes])),
        "success_rate": float(np.mean([episode.success for episode in episodes])),
        "episode_decisions": float(np.mean([episode.decisions for episode in episodes])),
    }
