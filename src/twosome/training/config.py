"""The options of ``trainer=fsdp``."""

from dataclasses import dataclass, fields

import torch
from omegaconf import DictConfig, OmegaConf

from twosome.config import typed
from twosome.errors import UserError, unknown_choice


@dataclass(frozen=True)
class FSDPConfig:
    """Processes that share one run; see conf/trainer/fsdp.yaml."""

    accelerator: str
    """gpu (NCCL, a process per GPU) or cpu (gloo)."""
    devices: int
    """Processes on each node."""
    num_nodes: int
    """Nodes."""
    strategy: str
    """fsdp."""
    timeout: float
    """Seconds that a process waits for the others before it gives up."""

    def __post_init__(self) -> None:
        if self.accelerator not in ("cpu", "gpu"):
            raise unknown_choice("trainer.accelerator", self.accelerator, ("cpu", "gpu"))
        for name in ("devices", "num_nodes"):
            if getattr(self, name) < 1:
                raise UserError(f"trainer.{name}={getattr(self, name)}: expected an integer above 0")
        if not self.timeout > 0:
            raise UserError(f"trainer.timeout={self.timeout}: expected a number of seconds above 0")
        if self.accelerator == "gpu" and self.devices > torch.cuda.device_count():
            raise UserError(
                f"trainer.accelerator=gpu trainer.devices={self.devices}: PyTorch sees {torch.cuda.device_count()} CUDA devices; "
                "set fewer, or trainer.accelerator=cpu"
            )

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.devices * self.num_nodes


def fsdp_config(trainer: DictConfig) -> FSDPConfig | None:
    """The checked options of ``trainer=fsdp``; None for any other trainer, which is one process. Raises UserError."""
    if trainer.get("strategy") != "fsdp":
        for name in ("devices", "num_nodes"):
            if isinstance(number := trainer.get(name, 1), int) and number != 1:
                raise UserError(f"trainer.{name}={number}: expected 1; with trainer=fsdp processes share a run")
        return None
    names = [field.name for field in fields(FSDPConfig)]
    return typed(FSDPConfig, OmegaConf.masked_copy(trainer, names), "trainer")
