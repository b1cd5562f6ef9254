"""What the tests of evaluation need: an agent without a language model, and the scripts as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import nn

from twosome.policies.agent import LearningAgent

ROOT = Path(__file__).parents[1]


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


def script(name, *arguments):
    """Run src/<name>.py; returns its exit code, standard output and standard error."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "HYDRA_FULL_ERROR": "0"}
    command = [sys.executable, str(ROOT / "src" / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def refused(name, *arguments):
    """Run a script on bad input: exactly one line, exit code 2; returns the line."""
    code, output, errors = script(name, *arguments)
    lines = [line for line in errors.splitlines() if line]
    assert (code, output, len(lines)) == (2, "", 1), (code, output, errors)
    assert lines[0].startswith("error: ")
    return lines[0]
