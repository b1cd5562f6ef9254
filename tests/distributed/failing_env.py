"""Overcooked that fails after a few steps, in one rank of two; the tests copy this file into the suite."""

import os
import signal
import sys
import time

import gymnasium

from twosome.envs.overcooked.env import OvercookedEnv

SIGNALS = {
    "kill": [signal.SIGKILL],
    "preempt": [signal.SIGUSR2, signal.SIGTERM],
    "terminate": [signal.SIGTERM],
    "interrupt": 3 * [signal.SIGINT],
}


class Failing(OvercookedEnv):
    def __init__(self, how, who, **options):
        super().__init__(**options)
        started_by_rank_0 = sys.argv[0] == "-c"
        rank = 1 if started_by_rank_0 else int(os.environ.get("SLURM_PROCID", 0))
        self.how, self.fails, self.left = how, rank == who, 4

    def step(self, action):
        self.left -= 1
        obs, reward, *rest = super().step(action)
        if self.left == 0:
            reward = self.fail(reward) if self.fails else self.go_on(reward)
        return (obs, reward, *rest)

    def fail(self, reward):
        if self.how == "raise":
            raise ZeroDivisionError("the soup is divided by zero")
        if self.how == "hang":
            time.sleep(1_000)
        for signum in SIGNALS.get(self.how, ()):
            os.kill(os.getpid(), signum)
            time.sleep(0.1)
        return float("nan") if "reward" in self.how else reward

    def go_on(self, reward):
        if self.how == "reward_while_the_other_sleeps":
            time.sleep(1_000)
        return reward


gymnasium.register("twosome/Failing-v0", entry_point=Failing)
