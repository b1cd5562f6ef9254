"""One run on several processes (``trainer=fsdp``), which torchrun or srun starts: the process group and Lightning's options.

torchrun and srun end all processes when one ends with an error.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.strategies.strategy import Strategy
from torch import Tensor

from twosome.errors import UserError
from twosome.training.callbacks import AtomicIO

FIXED: dict[str, Any] = {"deterministic": True, "enable_progress_bar": False, "enable_model_summary": False}
"""Options of Lightning's Trainer that no run changes."""


class Processes:
    """This process in the process group of a run.

    Every method but `own_indices` is a collective operation: all ranks call it at the same point.
    """

    def __init__(self, environment: ClusterEnvironment, device: torch.device) -> None:
        self.rank, self.world_size = environment.global_rank(), environment.world_size()
        self.environment, self.device = environment, device

    def own_indices(self, count: int) -> range:
        """Return this rank's part of range(count). The parts are contiguous, in rank order, and differ by at most 1 in length."""
        return range(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)

    def all_gather_object(self, value: Any) -> list[Any]:
        """Return every rank's value, in rank order. value: any that can be pickled."""
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def broadcast_object(self, value: Any = None) -> Any:
        """Return rank 0's value."""
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def all_gather(self, own: Tensor) -> Tensor:
        """Return every rank's tensor: (world_size, *own.shape). All ranks' tensors have one shape.

        The gradient flows into this rank's own tensor only, and is not summed over the ranks.
        """
        return _AllGather.apply(own, self.rank)

    def all_reduce(self, tensors: list[Tensor]) -> None:
        """Replace the tensors by their sums over all ranks, in place."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, rank: int) -> Tensor:
        ctx.rank = rank
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.rank], None


@contextmanager
def process_group(trainer: DictConfig) -> Iterator[Processes | None]:
    """Join the process group of the run, and leave it at the end; None without ``trainer.strategy=fsdp``.

    trainer: the options of conf/trainer. Raises UserError if torchrun or srun did not start as many processes as it says.
    """
    if trainer.get("strategy") != "fsdp":
        yield None
        return
    environment = started_by()
    if environment is None or environment.world_size() != trainer.devices * trainer.num_nodes:
        found = 1 if environment is None else environment.world_size()
        raise UserError(
            f"trainer.devices={trainer.devices} trainer.num_nodes={trainer.num_nodes}: expected as many processes, {found} was "
            f"started; start them by torchrun --nproc_per_node={trainer.devices} src/run.py ..., or by srun (docs/scaling.md)"
        )
    device = torch.device("cpu")
    if trainer.accelerator != "cpu":
        device = torch.device("cuda", environment.local_rank())
        torch.cuda.set_device(device)
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    dist.init_process_group(
        "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl",
        timeout=timedelta(seconds=trainer.timeout),
        rank=environment.global_rank(),
        world_size=environment.world_size(),
    )
    try:
        yield Processes(environment, device)
        dist.barrier()
    finally:
        dist.destroy_process_group()


def started_by() -> ClusterEnvironment | None:
    """Return what tells this process its rank: torchrun's or srun's variables; None without either."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect():
        return SLURMEnvironment(auto_requeue=False)  # submitit queues a job again, or the user
    return None


class ShardedBase(ModelParallelStrategy):
    """Train replicated weights beside a sharded frozen model.

    ShardedScorer has sharded the frozen model (FSDP2). The adapter, the critic and their optimisers are replicated on every rank.
    So rank 0 writes a checkpoint that does not depend on the world size: the checkpoint methods are those of Lightning's
    strategies that shard nothing.
    """

    lightning_restore_optimizer = True
    lightning_module_state_dict = Strategy.lightning_module_state_dict
    load_model_state_dict = Strategy.load_model_state_dict
    optimizer_state = Strategy.optimizer_state
    load_optimizer_state_dict = Strategy.load_optimizer_state_dict
    save_checkpoint = Strategy.save_checkpoint
    load_checkpoint = Strategy.load_checkpoint


class SameWeights(pl.Callback):
    """Stop the run if the ranks' trained weights differ after an update.

    Equal inputs and summed gradients keep them equal.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare the ranks' checksums of the trained weights."""
        weights = (parameter.detach().cpu() for parameter in pl_module.parameters() if parameter.requires_grad)
        checksum = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in weights)).hexdigest()
        if len(set(self.processes.all_gather_object(checksum))) > 1:
            raise RuntimeError("the processes' weights differ; expected equal devices and libraries on all nodes")


def trainer_options(trainer: DictConfig, processes: Processes | None) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer. processes: the process group; None for one process."""
    options: dict[str, Any] = OmegaConf.to_container(trainer, resolve=True)  # type: ignore[assignment]
    if processes is not None:
        timeout = timedelta(seconds=options.pop("timeout"))
        options["strategy"] = ShardedBase(data_parallel_size=processes.world_size, tensor_parallel_size=1, timeout=timeout)
    environment = started_by() if processes is None else processes.environment
    return FIXED | options | {"plugins": [AtomicIO(), *([environment] if environment else [])]}
