"""The options of ``trainer``."""

import logging
import os
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from twosome.config import shown, typed
from twosome.errors import UserError, folded, unknown_choice
from twosome.parts import ACCELERATORS

FIXED: dict[str, Any] = {"deterministic": True, "enable_progress_bar": False, "enable_model_summary": False}
"""Options of Lightning's Trainer that no run changes."""


@dataclass(frozen=True)
class FSDPConfig:
    """Configure the processes that share one run; see conf/trainer/fsdp.yaml."""

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
        if self.accelerator == "gpu":
            import torch  # takes seconds

            if self.devices > (found := torch.cuda.device_count()):
                raise UserError(
                    f"trainer.accelerator=gpu trainer.devices={self.devices}: PyTorch sees {found} CUDA devices; "
                    "set fewer, or trainer.accelerator=cpu"
                )

    @property
    def world_size(self) -> int:
        """Return the number of processes."""
        return self.devices * self.num_nodes


def fsdp_config(trainer: DictConfig) -> FSDPConfig | None:
    """Return the checked options of ``trainer=fsdp``; None for any other trainer, which is one process. Raises UserError."""
    if trainer.get("accelerator") is None:
        raise UserError(f"trainer.accelerator=null: expected one of {', '.join(ACCELERATORS)}")
    if trainer.get("strategy") != "fsdp":
        check_trainer(trainer)
        return None
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # otherwise its store warns with stack traces when a process is gone
    names = [field.name for field in fields(FSDPConfig)]
    return typed(FSDPConfig, OmegaConf.masked_copy(trainer, names), "trainer")


def check_trainer(trainer: DictConfig) -> None:
    """Raise UserError where Lightning's Trainer would not take the options."""
    options: dict[str, Any] = OmegaConf.to_container(trainer, resolve=True)  # type: ignore[assignment]
    for name in ("devices", "num_nodes"):
        number = options.pop(name, 1)
        if number != 1 and not (name == "devices" and isinstance(number, list) and len(number) == 1):  # [1]: the second GPU
            raise UserError(f"trainer.{name}={shown(number)}: expected 1; with trainer=fsdp processes share a run")
    del options["accelerator"]
    if not options:
        return
    import pytorch_lightning as pl  # takes seconds

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # no advertisements
    try:
        pl.Trainer(**options, **FIXED, accelerator="cpu", devices=1, max_epochs=1, callbacks=[], logger=False, plugins=[])
    except Exception as error:  # of many kinds
        names = " ".join(f"trainer.{name}={shown(value)}" for name, value in options.items())
        raise UserError(f"{names}: expected options of Lightning's Trainer, which says: {folded(error)}") from error
