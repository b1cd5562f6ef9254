"""How Lightning runs a team of processes (``trainer=fsdp``)."""

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
    from twosome.distributed.team import Team


class ShardedBase(ModelParallelStrategy):
    """FSDP2 for a frozen model whose adapter is small: SharedScorer has sharded the model, and what learns (the adapter, the
    critic, their optimisers) is whole on every process.

    So a checkpoint is what one process writes, and goes on with any number of them: its methods are those of strategies that
    shard nothing.
    """

    lightning_restore_optimizer = True
    lightning_module_state_dict = Strategy.lightning_module_state_dict
    load_model_state_dict = Strategy.load_model_state_dict
    optimizer_state = Strategy.optimizer_state
    load_optimizer_state_dict = Strategy.load_optimizer_state_dict
    save_checkpoint = Strategy.save_checkpoint
    load_checkpoint = Strategy.load_checkpoint


class TeamEnvironment(LightningEnvironment):
    """Tells Lightning which process this is, and that it is to start none."""

    creates_processes_externally = True

    def __init__(self, team: "Team", devices: int) -> None:
        super().__init__()
        self.team, self.devices = team, devices

    def local_rank(self) -> int:
        """The process's number on its node."""
        return self.team.local_rank

    def node_rank(self) -> int:
        """The node's number."""
        return self.team.rank // self.devices


class SameWeights(pl.Callback):
    """Stops a run whose processes have come to differ in what they learned, which equal inputs and summed gradients exclude."""

    def __init__(self, team: "Team") -> None:
        self.team = team

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare checksums after the update."""
        weights = (parameter.detach().cpu() for parameter in pl_module.parameters() if parameter.requires_grad)
        checksum = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in weights)).hexdigest()
        if len(set(self.team.gather(checksum))) > 1:
            raise RuntimeError("the processes' weights differ; expected equal devices and libraries on all nodes")


def trainer_options(trainer: DictConfig, team: "Team | None") -> dict[str, Any]:
    """The arguments of Lightning's Trainer that ``trainer`` stands for. team: where it is one process of several."""
    options: dict[str, Any] = OmegaConf.to_container(trainer, resolve=True)  # type: ignore[assignment]
    environment = cluster_plugins()
    if team is not None:
        timeout = timedelta(seconds=options.pop("timeout"))
        options["strategy"] = ShardedBase(data_parallel_size=team.size, tensor_parallel_size=1, timeout=timeout)
        environment = [TeamEnvironment(team, options["devices"])]
    return options | {"plugins": [AtomicIO(), *environment]}
