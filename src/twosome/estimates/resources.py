"""The measurements that estimates use: free memory and disk space, and the memory and time of one environment."""

import shutil
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gymnasium

from twosome.decision import Decision

MEASURED = 3
"""The number of environments made for each measurement."""


def free_memory() -> float:
    """Return the free bytes of memory and swap, or what is left of a control group's limit; inf if they are not known."""
    return min([_system_memory(), *_group_memory()])


def free_gpu_memory() -> float:
    """Return the free bytes on the GPU."""
    import torch

    return float(torch.cuda.mem_get_info()[0])


def free_disk(folder: Path) -> float:
    """Return the free bytes on the disk of a folder, which need not exist yet; inf if they are not known."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    try:
        return float(shutil.disk_usage(there).free)
    except OSError:
        return float("inf")


def _system_memory(meminfo: Path = Path("/proc/meminfo")) -> float:
    try:
        lines = (line.split() for line in meminfo.read_text().splitlines())
        sizes = {words[0]: 1024.0 * int(words[1]) for words in lines if len(words) > 1}
        return sizes["MemAvailable:"] + sizes.get("SwapFree:", 0.0)
    except (OSError, KeyError, ValueError):
        return float("inf")


def _group_memory(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[float]:
    """Yield what is left of the memory limits of this process's control groups (version 2, and version 1's memory controller)."""
    try:
        groups = [line.split(":", 2)[1:] for line in own.read_text().splitlines()]
    except OSError:
        return
    for controllers, path in groups:
        if controllers == "":
            base, limit, used = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, used = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = base / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(base):
                yield _left(group, limit, used)


def _left(group: Path, limit: str, used: str) -> float:
    """Return a group's limit minus its use, not counting caches that can be dropped; inf if it has no limit."""
    try:
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        droppable = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
        return float(int((group / limit).read_text()) - int((group / used).read_text()) + droppable)
    except (OSError, ValueError):  # no such group, or "max"
        return float("inf")


@dataclass(frozen=True)
class World:
    """The measurements of one environment and of its first decision."""

    env_bytes: float
    """Memory of an environment."""
    make_seconds: float
    """Time to make and reset one."""
    reset_seconds: float
    """Time of a reset, used as an estimate of the time of a step."""
    decision_bytes: float
    """Memory of a decision in a rollout, without the action prompts, which most decisions share."""
    numbers: int
    """Size of an observation."""
    choices: int
    """Number of the environment's actions."""
    actions: int
    """Number of the first decision's actions."""
    prompt_words: int
    """Number of words of the first prompt."""
    action_words: int
    """Number of words of its actions in a token tree: shared beginnings count once, last words do not count."""


def measure(make_env: Callable[[], gymnasium.Env]) -> World:
    """Make and reset a few environments, and measure them. Raises the errors that these raise."""
    envs = [make_env()]
    envs[0].reset(seed=0)  # creates what all environments share, which is not measured
    with _traced() as taken:
        for _ in range(MEASURED):
            envs.append(make_env())
            envs[-1].reset(seed=0)
    times = []
    for _ in range(MEASURED):
        start = time.perf_counter()
        envs.append(make_env())
        made = time.perf_counter()
        obs, info = envs[-1].reset(seed=0)
        times.append((time.perf_counter() - start, time.perf_counter() - made))
    decision, space = Decision.from_step(obs, info), envs[0].action_space
    for env in envs:
        env.close()
    beginnings = {tuple(words[:end]) for words in map(str.split, decision.action_prompts) for end in range(1, len(words))}
    return World(
        env_bytes=taken[0] / MEASURED,
        make_seconds=min(both for both, _ in times),
        reset_seconds=min(reset for _, reset in times),
        decision_bytes=float(obs.nbytes + sum(map(sys.getsizeof, decision[:4]))),
        numbers=int(obs.size),
        choices=int(getattr(space, "n", 1)),
        actions=len(decision.action_ids),
        prompt_words=len(decision.prompt.split()),
        action_words=len(beginnings),
    )


@contextmanager
def _traced() -> Iterator[list[float]]:
    """Measure the bytes that Python allocates within the context and still holds at its end; the yielded list gets the number."""
    taken: list[float] = []
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield taken
    finally:
        taken.append(max(0.0, tracemalloc.get_traced_memory()[0] - before))
        if not running:
            tracemalloc.stop()
