"""The process group of one run: ranks, collective operations, start and end."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from twosome.distributed.config import FSDPConfig
from twosome.distributed.failure import GRACE, POLL, RENDEZVOUS, STORE_GONE, FailureMonitor, ProcessFailure
from twosome.errors import ContractError, LostProcess, RunError, UserError, folded
from twosome.signals import Interrupted

RANK_INFO = "TWOSOME_RANK_INFO"
"""The environment variable with the configuration and the rank of a process that rank 0 has started."""
LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 30_000)  # for steps of SLURM's jobs
RUN_RANK = """
import signal
signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # SLURM sends its signals to all processes; rank 0 handles them
signal.signal(signal.SIGTERM, lambda *_: None)  # Lightning would put its own handler in place of SIG_IGN
from twosome import libraries
libraries.install()
from twosome.runs.run import run_other_rank
from twosome.distributed.processes import inherited_rank_info
run_other_rank(*inherited_rank_info())
"""


@dataclass(frozen=True)
class RankInfo:
    """Hold this process's rank, its rank on its node, the world size, and the address of the store.

    served: whether torchrun serves the store; otherwise rank 0 does.
    """

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    address: str = LOOPBACK
    port: int = 0
    served: bool = False


def rank_info(config: FSDPConfig) -> RankInfo:
    """Return this process's rank from the variables of torchrun or srun; rank 0 without either.

    Raises UserError where the number of processes is not config's.
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        rank, local_rank, world_size, port = (int(env[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"))
        served = env.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        found = RankInfo(rank, local_rank, world_size, env["MASTER_ADDR"], port, served)
    elif int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        rank, local_rank, world_size = (int(env[f"SLURM_{name}"]) for name in ("PROCID", "LOCALID", "STEP_NUM_TASKS"))
        from lightning_fabric.plugins.environments import SLURMEnvironment  # here, since it takes seconds

        address = SLURMEnvironment.resolve_root_node_address(env["SLURM_STEP_NODELIST"])
        port = PORTS[(int(env["SLURM_JOB_ID"]) * 97 + int(env["SLURM_STEP_ID"])) % len(PORTS)]  # the same for all of a step
        found = RankInfo(rank, local_rank, world_size, address, port)
    elif config.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={config.num_nodes}: expected to be started on every node, one process per device; use "
            "hydra/launcher=slurm, srun or torchrun (docs/scaling.md)"
        )
    else:
        return RankInfo(world_size=config.world_size)
    if found.world_size != config.world_size:
        raise UserError(
            f"trainer.devices={config.devices} trainer.num_nodes={config.num_nodes}: expected as many processes, "
            f"{config.world_size}, but {found.world_size} were started; change one of them"
        )
    return found


def inherited_rank_info() -> tuple[FSDPConfig, RankInfo]:
    """Return what rank 0 passed on to this process, which it started."""
    config, info = json.loads(os.environ.pop(RANK_INFO))
    return FSDPConfig(**config), RankInfo(**info)


class Processes:
    """This process in the process group of a run.

    Every method but `own_indices` is a collective operation: all ranks call it at the same point.
    """

    def __init__(self, info: RankInfo, device: torch.device) -> None:
        self.rank, self.local_rank, self.world_size, self.device = info.rank, info.local_rank, info.world_size, device

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
def process_group(config: FSDPConfig, info: RankInfo, scratch: Path | None = None) -> Iterator[Processes]:
    """Initialise torch.distributed's default process group and destroy it at the end.

    scratch: this rank's temporary folder; it is removed where another rank's error ends this one.

    Rank 0 starts the other processes where all are on one node and nobody else has started them.
    An error inside ends all processes. Rank 0 raises the error of the rank that failed first: UserError for bad input,
    RunError otherwise. The other ranks exit.
    """
    device = torch.device("cpu")
    if config.accelerator != "cpu":
        device = torch.device("cuda", info.local_rank)
        torch.cuda.set_device(device)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // config.devices))
    serves = info.rank == 0 and not info.served
    store = dist.TCPStore(info.address, info.port, is_master=serves, wait_for_workers=False, timeout=RENDEZVOUS)
    launched = info.port == 0
    children = [_start(config, rank, store.port) for rank in range(1, info.world_size)] if launched else []
    monitor = FailureMonitor(info.rank, store, children, scratch, speaks=info.rank > 0 and info.local_rank == 0)
    try:
        backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
        dist.init_process_group(
            backend,
            timeout=timedelta(seconds=config.timeout),
            store=dist.PrefixStore("group", store),
            rank=info.rank,
            world_size=info.world_size,
        )
        yield Processes(info, device)
        dist.barrier()
    except BaseException as error:
        _fail(monitor, _explained(error, config), error)
        raise
    finally:
        monitor.over.set()
        _end(children)
        if dist.is_initialized():
            dist.destroy_process_group()


def _start(config: FSDPConfig, rank: int, port: int) -> subprocess.Popen[bytes]:
    """Start another process of this run on this node, in a session of its own: the terminal's signals reach rank 0 only."""
    where = RankInfo(rank, rank, config.world_size, LOOPBACK, port)
    env = os.environ | {RANK_INFO: json.dumps([asdict(config), asdict(where)]), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", RUN_RANK], env=env, stdin=subprocess.DEVNULL, start_new_session=True)


def _explained(error: BaseException, config: FSDPConfig) -> BaseException:
    """Return LostProcess for what a collective operation raises without an answer of the other ranks, otherwise the error."""
    if not isinstance(error, dist.DistError) and not (type(error) is RuntimeError and "gloo" in str(error)):
        return error
    if re.search("by peer|Broken pipe", str(error)):
        address = re.search(r"\[([\d.]+|[\da-f:]+)\]:\d+", str(error))
        where = f", on {address[1]}," if address else ""
        return LostProcess(f"another process{where} is gone: it was killed, or its machine is down")
    return LostProcess(
        f"no answer from another process within trainer.timeout={config.timeout:g} seconds, or it is gone ({folded(error)}); "
        "look at what it does, or set a longer trainer.timeout"
    )


def _fail(monitor: FailureMonitor, error: BaseException, cause: BaseException) -> None:
    """Publish this rank's error, unless it follows from another rank's, which rank 0 then raises instead.

    cause: what was raised here, which the error explains.
    """
    known = isinstance(error, UserError | RunError)
    own = (known and error is cause) or not isinstance(error, Exception)
    found, until = None, time.monotonic() + (0 if own else 5 * POLL)
    while time.monotonic() < until and not (found := monitor.published()):
        time.sleep(POLL)
    if monitor.rank > 0 and found is STORE_GONE:
        monitor.over.set()
        monitor.end(1, found)
    message, code = str(error) if known else f"{type(error).__name__}: {error}", _exit_code(error)
    resumable, lost = code != 2 or isinstance(error, ContractError), isinstance(error, LostProcess)
    first = monitor.publish(ProcessFailure(monitor.rank, code, message, resumable, lost))
    monitor.over.set()
    if monitor.rank > 0:
        if first.rank == monitor.rank and code == 1 and not known:
            sys.__excepthook__(type(error), error, error.__traceback__)
        monitor.end(code, first)
    if first.rank > 0:
        raise first.error() from None
    if error is not cause:
        raise error from cause


def _exit_code(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return error.code
    return 2 if isinstance(error, UserError) else 1 if isinstance(error, Exception) else 130


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """Wait for processes to end; kill those that do not within GRACE."""
    deadline = time.monotonic() + GRACE[True]
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
