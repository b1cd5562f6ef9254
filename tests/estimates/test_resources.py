"""What the machine has free, and what an environment takes."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from twosome.estimates.resources import _group_memory, _system_memory, free_disk, free_memory, measure


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_there_is_memory_and_disk_here(tmp_path: Path) -> None:
    assert 1e6 < free_memory() < 1e15
    assert 0 < free_disk(tmp_path / "not" / "yet") < 1e18


def test_free_memory_is_what_is_available_and_swap(tmp_path: Path) -> None:
    write(tmp_path, meminfo="MemTotal: 900 kB\nMemFree: 100 kB\nMemAvailable: 300 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n")
    assert _system_memory(tmp_path / "meminfo") == 320 * 1024
    assert _system_memory(tmp_path / "nothing") == float("inf")


@pytest.mark.parametrize("limited", ["job", "job/step"])
def test_a_control_group_s_limit_counts(tmp_path: Path, limited: str) -> None:
    """Version 2: the limit of the group, or of one around it; pages that can be dropped are free."""
    write(tmp_path, cgroup="0::/job/step\n")
    write(tmp_path / "fs" / "job" / "step", memory__max="max\n", memory__current="400\n", memory__stat="inactive_file 30\n")
    write(tmp_path / "fs" / "job", memory__max="max\n", memory__current="500\n", memory__stat="inactive_file 50\n")
    (tmp_path / "fs" / limited / "memory.max").write_text("1000\n")
    expected = {"job": 550, "job/step": 630}[limited]
    assert min(_group_memory(tmp_path / "fs", tmp_path / "cgroup")) == expected


def test_a_control_group_of_version_1(tmp_path: Path) -> None:
    write(tmp_path, cgroup="5:cpu,cpuacct:/\n4:memory:/job\n0::/\n")
    stat = "inactive_file 1\ntotal_inactive_file 100\n"
    write(tmp_path / "fs" / "memory" / "job", memory__limit_in_bytes="1000", memory__usage_in_bytes="400", memory__stat=stat)
    assert min(_group_memory(tmp_path / "fs", tmp_path / "cgroup")) == 700


def test_no_control_groups(tmp_path: Path) -> None:
    assert list(_group_memory(tmp_path, tmp_path / "nothing")) == []


class Heavy(gymnasium.Env):
    """Takes a megabyte, besides one that all share."""

    observation_space = gymnasium.spaces.Box(0, 1, (3,), dtype=np.float32)
    action_space = gymnasium.spaces.Discrete(7)
    shared: list[np.ndarray] = []  # noqa: RUF012

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.own = np.zeros(2**20, dtype=np.uint8)
        if not self.shared:
            self.shared.append(np.zeros(2**20, dtype=np.uint8))
        words = ("go left", "go left now", "stop")
        return np.zeros(3, np.float32), {"prompt": "You should", "action_ids": (1, 4, 6), "action_prompts": words}


def test_an_environment_is_measured() -> None:
    world = measure(Heavy)
    assert 2**20 < world.env_bytes < 1.1 * 2**20
    assert 0 < world.reset_seconds < world.make_seconds
    assert (world.numbers, world.choices, world.actions, world.prompt_words) == (3, 7, 3, 2)
    assert world.action_words == 2  # go, go left
    assert 100 < world.decision_bytes < 1_000
