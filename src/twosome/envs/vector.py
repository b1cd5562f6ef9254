"""Many environments side by side, as lists of decisions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from twosome.decision import Decision
from twosome.envs.resumable import Resumable


class Step(NamedTuple):
    """What happened in each of N environments after one decision.

    decisions: what each offers next; after an episode's end already the first decision of the next one.
    rewards: (N,) float64. durations, primitive_steps: (N,) ints of the decision just made and since the episode's start.
    terminated, truncated, success: (N,) bool.
    final: the last decision of the episodes that ended in this step, by environment.
    """

    decisions: list[Decision]
    rewards: np.ndarray
    durations: np.ndarray
    primitive_steps: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    final: dict[int, Decision]


class DecisionEnvs:
    """gymnasium's SyncVectorEnv in SAME_STEP autoreset mode: the step that ends an episode also returns the next one's
    first decision, and the ended one's last decision separately; so every step is a transition inside one episode.

    make_env: of environments that keep to the contract, as `envs.checked` sees to.
    """

    def __init__(self, make_env: Callable[[], gymnasium.Env], num_envs: int, own: range | None = None) -> None:
        """num_envs: environments of the run. own: which of them are here, where they are spread over processes."""
        self.own = range(num_envs) if own is None else own
        self.envs = [Resumable(make_env()) for _ in self.own]
        for number, env in zip(self.own, self.envs, strict=True):
            env.set_wrapper_attr("number", number)  # so that `Checked` can say which one went wrong
        made = iter(self.envs)
        self.vector = SyncVectorEnv([lambda: next(made)] * len(self.envs), autoreset_mode=AutoresetMode.SAME_STEP)
        self.num_envs = num_envs

    def reset(self, seed: int) -> list[Decision]:
        """Start every environment; the seeds are drawn from one sequence, so that no two runs' seeds overlap."""
        seeds = np.random.SeedSequence(seed).generate_state(self.num_envs)
        obs, infos = self.vector.reset(seed=[int(seeds[env]) for env in self.own])
        return self._decisions(obs, infos)

    def step(self, action_ids: Sequence[int]) -> Step:
        """Act in every environment."""
        obs, rewards, terminated, truncated, infos = self.vector.step(np.asarray(action_ids))
        ended = np.flatnonzero(terminated | truncated)
        final = {}
        outcome = {name: np.array(infos[name]) for name in ("duration", "primitive_steps", "success")}
        for env in map(int, ended):
            last = {name: values[env] for name, values in infos["final_info"].items()}
            final[env] = Decision.from_step(infos["final_obs"][env], last)
            for name, values in outcome.items():
                values[env] = last[name]
        return Step(self._decisions(obs, infos), rewards, outcome["duration"], outcome["primitive_steps"],
                    terminated, truncated, outcome["success"], final)  # fmt: skip

    def state(self) -> list[dict[str, Any]]:
        """Everything needed to go on from here, as plain values."""
        return [env.state() for env in self.envs]

    def restore(self, state: Sequence[dict[str, Any]]) -> list[Decision]:
        """Go back to a state; returns the decisions offered there."""
        return [Decision.from_step(*env.restore(one)) for env, one in zip(self.envs, state, strict=True)]

    def close(self) -> None:
        """Close every environment."""
        self.vector.close()

    def _decisions(self, obs: np.ndarray, infos: Mapping[str, Any]) -> list[Decision]:
        optional = [name for name in ("affordances", "state") if name in infos]
        names = ("prompt", "action_ids", "action_prompts", *optional)
        rows = zip(obs, *(infos[name] for name in names), strict=True)
        return [Decision.from_step(one, dict(zip(names, info, strict=True))) for one, *info in rows]
