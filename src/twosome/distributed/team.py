"""The processes of one run: how they find each other, what they tell each other, and that they end together."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from twosome.distributed.config import FSDPConfig
from twosome.distributed.watch import GRACE, POLL, RENDEZVOUS, Failure, Watch
from twosome.errors import RunError, UserError
from twosome.signals import Interrupted

PLACE = "TWOSOME_PLACE"
"""The environment variable that tells a process which another one started of its team."""
LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 30_000)  # for steps of SLURM's jobs
FOLLOW = """
import signal
signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # SLURM sends its signals to all processes; the first one knows what to do
signal.signal(signal.SIGTERM, lambda *_: None)  # Lightning would put its own handler in place of SIG_IGN
from twosome.runs.run import follow
from twosome.distributed.team import told
follow(*told())
"""


@dataclass(frozen=True)
class Place:
    """Which of world_size processes this is (rank), and which of its node's (local_rank); where the first one listens.

    served: whether somebody else, torchrun, has opened that port already.
    """

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    address: str = LOOPBACK
    port: int = 0
    served: bool = False


def place(config: FSDPConfig) -> Place:
    """This process's place, as torchrun or srun tells it; without these it is the first of its node's.

    Raises UserError where there are not as many processes as config says.
    """
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        rank, local_rank, world_size, port = (int(env[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"))
        served = env.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        found = Place(rank, local_rank, world_size, env["MASTER_ADDR"], port, served)
    elif int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        rank, local_rank, world_size = (int(env[f"SLURM_{name}"]) for name in ("PROCID", "LOCALID", "STEP_NUM_TASKS"))
        from lightning_fabric.plugins.environments import SLURMEnvironment  # here, since it takes seconds

        address = SLURMEnvironment.resolve_root_node_address(env["SLURM_STEP_NODELIST"])
        port = PORTS[(int(env["SLURM_JOB_ID"]) * 97 + int(env["SLURM_STEP_ID"])) % len(PORTS)]  # the same for all of a step
        found = Place(rank, local_rank, world_size, address, port)
    elif config.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={config.num_nodes}: expected to be started on every node, one process per device; use "
            "hydra/launcher=slurm, srun or torchrun (docs/scaling.md)"
        )
    else:
        return Place(world_size=config.world_size)
    if found.world_size != config.world_size:
        raise UserError(
            f"trainer.devices={config.devices} trainer.num_nodes={config.num_nodes}: expected as many processes, "
            f"{config.world_size}, but {found.world_size} were started; change one of them"
        )
    return found


def told() -> tuple[FSDPConfig, Place]:
    """What the first process told this one, which it started."""
    config, place = json.loads(os.environ.pop(PLACE))
    return FSDPConfig(**config), Place(**place)


class Team:
    """One of the processes of a run, and its ways to the others. Every method is called by all of them at the same point."""

    def __init__(self, place: Place, device: torch.device) -> None:
        self.rank, self.local_rank, self.size, self.device = place.rank, place.local_rank, place.world_size, device

    def share(self, things: int) -> range:
        """Which of so many things are this process's: as equal parts as can be, in the order of the ranks."""
        return range(self.rank * things // self.size, (self.rank + 1) * things // self.size)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value (any that can be pickled), by rank."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: Any = None) -> Any:
        """The first process's value."""
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def exchange(self, own: Tensor) -> Tensor:
        """Every process's tensor, all of one shape: (processes, ...). Gradients flow into each process's own."""
        return _Exchange.apply(own, self.rank)

    def add_up(self, tensors: list[Tensor]) -> None:
        """Replace the tensors by their sums over all processes."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


class _Exchange(torch.autograd.Function):
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
def joined(config: FSDPConfig, place: Place) -> Iterator[Team]:
    """Inside, the processes are a team, and torch.distributed's default group. The first one starts the others where they
    are all on one node and nobody else has.

    An error inside ends all of them. Where it came from another process, the first one raises it anew: UserError for bad
    input, RuntimeError otherwise. The others exit by themselves.
    """
    device = torch.device("cpu")
    if config.accelerator != "cpu":
        device = torch.device("cuda", place.local_rank)
        torch.cuda.set_device(device)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // config.devices))
    serves = place.rank == 0 and not place.served
    store = dist.TCPStore(place.address, place.port, is_master=serves, wait_for_workers=False, timeout=RENDEZVOUS)
    launched = place.port == 0
    children = [_start(config, rank, store.port) for rank in range(1, place.world_size)] if launched else []
    watch = Watch(place.rank, store, children)
    try:
        backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
        dist.init_process_group(
            backend,
            timeout=timedelta(seconds=config.timeout),
            store=dist.PrefixStore("group", store),
            rank=place.rank,
            world_size=place.world_size,
        )
        yield Team(place, device)
        dist.barrier()
    except BaseException as error:
        _fail(watch, error)
        raise
    finally:
        watch.over.set()
        _end(children)
        if dist.is_initialized():
            dist.destroy_process_group()


def _start(config: FSDPConfig, rank: int, port: int) -> subprocess.Popen[bytes]:
    """Another process of this run on this node. Signals of the terminal reach the first one alone, which tells the others."""
    where = Place(rank, rank, config.world_size, LOOPBACK, port)
    env = os.environ | {PLACE: json.dumps([asdict(config), asdict(where)]), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", FOLLOW], env=env, stdin=subprocess.DEVNULL, start_new_session=True)


def _fail(watch: Watch, error: BaseException) -> None:
    """Tell of an error, unless it is only the consequence of another process's, which the first process raises in its place."""
    own = isinstance(error, UserError | RunError) or not isinstance(error, Exception)
    until = time.monotonic() + (0 if own else 5 * POLL)
    while time.monotonic() < until and not watch.heard():
        time.sleep(POLL)
    code = _exit_code(error)
    first = watch.tell(Failure(watch.rank, code, str(error) if code == 2 else f"{type(error).__name__}: {error}"))
    watch.over.set()
    if watch.rank > 0:
        if first.rank == watch.rank and code == 1:
            sys.__excepthook__(type(error), error, error.__traceback__)
        os._exit(code)
    if first.rank > 0:
        raise UserError(first.message) if first.code == 2 else RunError(f"process {first.rank}: {first.message}") from None


def _exit_code(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return error.code
    return 2 if isinstance(error, UserError) else 1 if isinstance(error, Exception) else 130


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """Wait for processes that are about to end; those that do not are killed."""
    deadline = time.monotonic() + GRACE[True]
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
