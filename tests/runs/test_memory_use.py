"""The memory of a run does not grow with its updates: measured over a thousand of them, with a checkpoint after each."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, environment

UPDATES = 1_000
OPTIONS = ["model=tiny_random", "algorithm.num_envs=2", "algorithm.num_steps=4", f"total_steps={UPDATES * 8}",
           "evaluation.episodes=2",
           "evaluation.gif=false", "retention.drift=false"]  # fmt: skip
GROWTH = 1.05  # from update 100 to the last; it was 1.03 (674 to 694 MB, of which Python and its libraries are 500)


def resident(process: subprocess.Popen[str]) -> int:
    """Kilobytes of memory that a process has now."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]


@pytest.mark.slow
def test_the_memory_of_a_run_is_flat(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "src" / "run.py"), *OPTIONS, f"hydra.run.dir={tmp_path / 'run'}"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        after = {int(match[1]): resident(process) for line in process.stderr if (match := re.match(r"update (\d+)/", line))}
    assert process.returncode == 0
    print({update: after[update] for update in (1, 100, 300, 500, 700, 900, UPDATES)})
    assert after[UPDATES] < GROWTH * after[100]
