"""Small runs that are stopped, damaged and resumed."""

import signal

from checkout import result

from twosome.algorithms.ppo import PPO
from twosome.signals import Interrupted

UPDATES = 6
SMALL = ["model=tiny_random", f"total_steps={UPDATES * 4 * 8}", "algorithm.num_envs=4", "algorithm.num_steps=8",
         "evaluation.episodes=2",
         "algorithm.value_update_epochs=2", "evaluation.gif=false", "retention.every=2", "retention.limit=1",
         "seed=5"]  # fmt: skip
OPTIONS = [*SMALL, "env.kwargs.max_primitive_steps=40"]
FRAGILE = [*SMALL, "~env.task", "~env.prompt", "~env.ppo_learning_rates", "~env.kwargs", "env.id=fragile:tests/Fragile-v0"]


def stopped(suite, monkeypatch, folder, options=OPTIONS, after=3):
    """A run into folder that ended after some updates, with their checkpoints."""
    ended = PPO.update_critic

    def end(*arguments):
        if end.calls == after:
            raise Interrupted(signal.SIGTERM)
        end.calls += 1
        return ended(*arguments)

    end.calls = 0
    with monkeypatch.context() as patch:
        patch.setattr(PPO, "update_critic", end)
        code, _ = suite("run", *options, f"hydra.run.dir={folder}")
    assert code == 143
    assert len(list(folder.glob("checkpoints/*.ckpt"))) == min(after, 2)
    return folder


def error_line(code, errors, expected_code):
    """The last line, which is the only one that begins with error; progress may come before it."""
    assert code == expected_code, errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert lines == errors.splitlines()[-1:]
    assert "Traceback" not in errors
    return lines[0]


def assert_goes_on_as(suite, folder, undisturbed, *words):
    """Resumed, the run ends as the undisturbed one, and leaves no parts of files."""
    code, errors = suite("run", f"resume={folder}", *words)
    assert code == 0, errors
    assert result(folder) == result(undisturbed)
    assert not [path for path in folder.rglob(".*")]
    assert len(list(folder.glob("checkpoints/*.ckpt"))) == 2
    return errors


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    """In the middle of a tensor, where the file can still be opened and PyTorch would not notice."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
