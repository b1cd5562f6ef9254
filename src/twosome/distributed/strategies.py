"""Lightning's strategy, environment and callbacks for ``trainer=fsdp``."""

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.strategies import ModelParallelStrategy
from pytorch_lightning.strategies.strategy import Strategy

from twosome.distributed.cluster import cluster_plugins
from twosome.storage.checkpoints import AtomicIO

if TYPE_CHECKING:
    from twosome.distributed.processes import Processes


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


class ProcessesEnvironment(LightningEnvironment):
    """Give Lightning this process's rank, and have it start no processes."""

    creates_processes_externally = True

    def __init__(self, processes: "Processes", devices: int) -> None:
        super().__init__()
        self.processes, self.devices = processes, devices

    def local_rank(self) -> int:
        """Return the rank on this node."""
        return self.processes.local_rank

    def node_rank(self) -> int:
        """Return the node's number."""
        return self.processes.rank // self.devices


class SameWeights(pl.Callback):
    """Stop the run if the ranks' trained weights differ after an update.

    Equal inputs and summed gradients keep them equal.
    """

    def __init__(self, processes: "Processes") -> None:
        self.processes = processes

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare the ranks' checksums of the trained weights."""
        weights = (parameter.detach().cpu() for parameter in pl_module.parameters() if parameter.requires_grad)
        checksum = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in weights)).hexdigest()
        if len(set(self.processes.all_gather_object(checksum))) > 1:
            raise RuntimeError("the processes' weights differ; expected equal devices and libraries on all nodes")


def trainer_options(trainer: DictConfig, processes: "Processes | None") -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer. processes: the process group; None for one process."""
    options: dict[str, Any] = OmegaConf.to_container(trainer, resolve=True)  # type: ignore[assignment]
    if processes is None:
        environment = cluster_plugins()
    else:
        timeout = timedelta(seconds=options.pop("timeout"))
        options["strategy"] = ShardedBase(data_parallel_size=processes.world_size, tensor_parallel_size=1, timeout=timeout)
        environment = [ProcessesEnvironment(processes, options["devices"])]
    return options | {"plugins": [AtomicIO(), *environment]}
