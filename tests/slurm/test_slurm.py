"""A sweep on a real SLURM, where jobs time out, are preempted, queued again and killed: `make test-slurm`, some minutes.

Every run ends with the bytes of the same run left alone, and the command says what became of each.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import checkout, environment, outcome
from slurm_cluster import SlurmCluster, installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason="no SLURM that root could start here; `make test-slurm` installs it"),
]

EXPERIMENT = """# @package _global_
# Five runs of some seconds and one that needs more than a job's time of a minute.
defaults:
  - override /hydra/sweeper: grids

hydra:
  mode: MULTIRUN
  sweeper:
    grids:
      - {model: tiny_random, seed: [0, 1, 2, 3, 4], total_steps: 1_536, retention.every: 2}
      - {model: tiny_random, seed: [5], total_steps: 1_536, retention.every: 2, ppo.update_epochs: 400, ppo.target_kl: null}
"""
SMALL = ["ppo.num_envs=8", "ppo.num_steps=16", "evaluation.episodes=2", "evaluation.gif=false", "retention.limit=2",
         "env.kwargs.max_primitive_steps=60"]  # fmt: skip
SLURM = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=20"]
