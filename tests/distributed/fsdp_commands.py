"""What the tests of ``trainer=fsdp`` on one machine share: an environment that fails, and how its runs should end."""

import re
import signal
import time
from pathlib import Path

from checkout import Finished, at_work, checkout
from fsdp_tools import OPTIONS

TWO = ["trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2"]
FAILING_YAML = """
# Fails.
id: twosome.envs.failing:twosome/Failing-v0
task: tomato_salad
gamma: 0.99
kwargs: {how: reward, who: 1, max_primitive_steps: 60}
"""
IN_CI = ("reward", 1)
FAILURES = {  # how a rank fails
    IN_CI: (2, "error: env.id=twosome/Failing-v0, environment 2: its step() gave the reward nan, expected a finite number from "),
    ("kill", 1): (1, "error: process 1: process 1 was killed by signal 9; then go on with: "),
    ("raise", 1): (1, "its step() raised ZeroDivisionError (the soup is divided by zero) at failing.py:"),
    ("raise", 0): (1, "its step() raised ZeroDivisionError (the soup is divided by zero) at failing.py:"),
    ("hang", 1): (1, "error: no answer from another process within trainer.timeout=20 seconds, or it is gone ("),
    ("kill", 0): (-signal.SIGKILL, ""),
    ("terminate", 0): (128 + signal.SIGTERM, "interrupted by SIGTERM; go on with: "),
    ("interrupt", 0): (128 + signal.SIGINT, "interrupted by SIGINT; go on with: "),
    ("preempt", 1): (0, ""),  # SLURM sends its signals to all ranks, and rank 0 handles them: the run is finished
}


def failing_checkout(folder: Path) -> Path:
    """Make a checkout with the failing environment."""
    checkout(folder)
    (folder / "src/twosome/envs/failing.py").write_text(Path(__file__).with_name("failing_env.py").read_text())
    (folder / "conf/env/failing.yaml").write_text(FAILING_YAML)
    return folder


def failing(how: str, who: int) -> list[str]:
    """What starts a run by two processes of which one fails."""
    options = [option for option in OPTIONS if not option.startswith(("env.", "evaluation.episodes"))]
    words = ["env=failing", f"env.kwargs.how={how}", f"env.kwargs.who={who}", "evaluation.episodes=0", "trainer.timeout=20"]
    return ["src/run.py", *options, *TWO, *words, f"hydra.run.dir=failed-{how}-{who}"]


def assert_failed(finished: Finished, how: str, who: int) -> None:
    """The exit code and the message are as they should be."""
    code, message = FAILURES[how, who]
    assert finished.code == code, finished.output
    assert message in finished.output, finished.output
    assert len(re.findall("^(?:error: |interrupted by )", finished.output, re.MULTILINE)) == (code > 0)
    assert "Traceback" not in finished.output
    assert not message or re.search(r"go on with: .*run\.py resume=", finished.output), finished.output


def assert_no_process_is_left(folder: Path) -> None:
    """Within seconds."""
    deadline = time.monotonic() + 10
    while left := at_work(folder):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.1)
