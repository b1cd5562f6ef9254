"""What the tests of evaluation need: an agent without a language model, and the scripts as a user runs them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from checkout import ROOT, run
from hydra import compose, initialize_config_dir
from torch import nn

from twosome.agents.agent import LearningAgent


class Fixed(LearningAgent):
    """Prefers its actions in order, over and over; each with probability 0.7."""

    def __init__(self, choices):
        super().__init__()
        self.choices, self.count, self.critic = choices, 0, nn.Identity()

    def log_policy(self, decisions):
        rows = torch.full((len(decisions), len(decisions[0].action_ids)), 0.3 / (len(decisions[0].action_ids) - 1))
        rows[:, self.choices[self.count % len(self.choices)]] = 0.7
        self.count += 1
        return rows.log()

    def evaluate(self, decisions, choices=None):
        raise NotImplementedError

    def value_function(self, decisions):
        raise NotImplementedError

    def parameter_groups(self):
        return {}


def composed(name, *overrides):
    """The configuration that a script would get."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose(name, list(overrides))


def script(name, *arguments, folder=None):
    """Run src/<name>.py; returns its exit code, standard output and standard error. folder: where; else an empty one."""
    if folder is None:
        with TemporaryDirectory() as empty:
            return script(name, *arguments, folder=empty)
    command = [str(ROOT / "src" / f"{name}.py"), *arguments]
    (done,) = run(Path(folder), [command], apart=True, PYTHONPATH=str(ROOT / "src"), COLUMNS="80")
    return done.code, done.output, done.errors


def refused(name, *arguments):
    """Run a script on bad input: exactly one line, exit code 2; returns the line."""
    code, output, errors = script(name, *arguments)
    lines = [line for line in errors.splitlines() if line]
    assert (code, output, len(lines)) == (2, "", 1), (code, output, errors)
    assert lines[0].startswith("error: ")
    return lines[0]
