"""The memory that a run will take, from below: what is certain.

Of a language model's work that is one decision, since those of a rollout may all be alike. Options are not checked here: what is
no number counts as 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from twosome.config import leaves
from twosome.distributed.config import FSDPConfig
from twosome.estimates.capacity import BYTES, TRAINED, Shape, mlp_weights, shape_of
from twosome.estimates.resources import World, measure
from twosome.language.config import resolve_device
from twosome.parts import model_config
from twosome.policies.context import MakeEnv

NOT_TRAINED = ("twosome.policies.random.", "twosome.policies.optimal.", "twosome.policies.saycan.")
"""Baselines for which PPO's settings have no effect."""
MEMORY, GPU, DISK = "memory", "GPU memory", "disk"
LARGEST = 10**30  # of an option's numbers: beyond, they are no floats
SAMPLE_BYTES = 150  # of a decision in a rollout, besides itself: choice, log-probability, reward, value, advantage, ...
ENV_BYTES = 1_500  # around each environment: wrappers, its generator, the running episode
EPISODE_BYTES = 450  # of a finished episode, as evaluations keep it
ROW_BYTES = 1_500  # of an update on disk: its row of metrics.csv, TensorBoard's events


class Part(NamedTuple):
    """What takes memory: in words, the bytes, where, and the options that it is proportional to."""

    what: str
    size: float
    place: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """options: the configuration by dotted names. shape: of the language model, if it is known. device: cpu or cuda.
    processes: that share the run, in all; here: those of them on this machine; threads: of each. trains: False where a trained
    agent is only played."""

    options: Mapping[str, Any]
    world: World
    shape: Shape | None
    device: str = "cpu"
    processes: int = 1
    here: int = 1
    threads: int = 1
    trains: bool = True

    @classmethod
    def of(cls, config: DictConfig, make_env: MakeEnv, fsdp: FSDPConfig | None = None) -> "Estimate":
        """Of a checked configuration. One environment is made and measured."""
        import torch

        model = model_config(config.model, config.trainer.accelerator)
        device = resolve_device(model.device).type if fsdp is None else {"cpu": "cpu", "gpu": "cuda"}[fsdp.accelerator]
        options = dict(leaves(OmegaConf.to_container(config, resolve=True)))
        processes, here = (1, 1) if fsdp is None else (fsdp.world_size, fsdp.devices)
        return cls(options, measure(make_env), shape_of(model), device, processes, here, torch.get_num_threads())

    def limited(self, option: str, most: int) -> "Estimate":
        """The same with an option, or each number of it, at most so large."""
        value = self.options[option]
        smaller = [min(each, most) for each in self.numbers(option)] if isinstance(value, list) else min(value, most)
        return replace(self, options={**self.options, option: smaller})

    def numbers(self, option: str) -> list[int]:
        """The numbers that an option holds, one or several."""
        value = self.options.get(option)
        values = value if isinstance(value, list) else [value]
        return [min(each, LARGEST) for each in values if isinstance(each, int) and not isinstance(each, bool) and each > 0]

    def number(self, option: str) -> int:
        """The number that an option holds, 0 where it holds none."""
        return max(self.numbers(option), default=0)

    @property
    def learns(self) -> bool:
        """Whether the agent is trained by PPO, as any is that is not known not to be."""
        return self.trains and not str(self.options.get("baseline._target_")).startswith(NOT_TRAINED)

    @property
    def speaks(self) -> bool:
        """Whether a language model of known shape computes the policy."""
        return self.shape is not None and "engine.batch_tokens" in self.options

    @property
    def samples(self) -> int:
        """Decisions in a rollout."""
        return self.number("ppo.num_envs") * self.number("ppo.num_steps")

    @property
    def updates(self) -> int:
        """Of the run."""
        return ceil(self.number("total_steps") / max(1, self.samples))

    @property
    def tree(self) -> int:
        """Nodes of the first decision's token tree, at the least: a token for each word."""
        return self.world.prompt_words + self.world.action_words


def memory(run: Estimate) -> Iterator[Part]:
    """All that certainly takes memory."""
    kept = run.here * EPISODE_BYTES * run.number("evaluation.episodes")
    yield Part("the evaluation's episodes", kept, MEMORY, ("evaluation.episodes",))
    if run.learns:
        yield from _rollout(run)
        yield Part("the updates' metrics", run.updates * ROW_BYTES, DISK, ("total_steps",))
    if run.learns and "baseline.hidden_sizes" in run.options:
        yield from _networks(run)
    if run.speaks:
        yield from _language_model(run)
    if "affordance.episodes" in run.options:
        yield from _affordance(run)


def _rollout(run: Estimate) -> Iterator[Part]:
    world, envs = run.world, ("ppo.num_envs",)
    own = run.number(*envs) * run.here / run.processes
    yield Part("the environments", own * (world.env_bytes + ENV_BYTES), MEMORY, envs)
    sample = world.decision_bytes + SAMPLE_BYTES + 8 * world.actions
    yield Part("a rollout's decisions", run.here * run.samples * sample, MEMORY, (*envs, "ppo.num_steps"))


def _networks(run: Estimate) -> Iterator[Part]:
    world, hidden = run.world, run.numbers("baseline.hidden_sizes")
    weights = sum(mlp_weights(world.numbers, *hidden, outputs) for outputs in (world.choices, 1))
    yield Part("the networks' weights", TRAINED * weights, _place(run), ("baseline.hidden_sizes",))
    widest = max(hidden, default=0)
    options = ("ppo.num_envs", "ppo.num_steps", "baseline.hidden_sizes")
    yield Part("the networks' activations", 4 * run.samples * (world.numbers + widest), _place(run), options)


def _language_model(run: Estimate) -> Iterator[Part]:
    shape, place = run.shape, _place(run)
    assert shape is not None  # it speaks
    copies = run.here if run.device == "cpu" else 1
    frozen = shape.frozen_bytes(run.processes) * copies
    if run.device == "cpu" and run.processes == 1 and run.options.get("model.packed_weights") and shape.dtype == "float32":
        frozen += BYTES["float32"] * (shape.frozen - shape.hidden) * (2 if run.learns else 1)  # forwards, and backwards
    yield Part("the language model's weights", frozen, place, ())
    per_weight = TRAINED if run.learns else BYTES["float32"]
    adapter = per_weight * shape.adapter_of(run.number("tuning.rank"))
    yield Part("the adapter's weights", copies * adapter, place, ("tuning.rank",))
    if critic := run.numbers("value_head.hidden_sizes"):
        weights = copies * TRAINED * mlp_weights(shape.hidden, *critic, 1)
        yield Part("the critic's weights", weights, place, ("value_head.hidden_sizes",))
    yield Part(f"the token tree of a decision with {run.world.actions:,} actions", activations(run, run.tree), place, ("env.id",))


def activations(run: Estimate, nodes: int) -> float:
    """Bytes of a forward pass over a tree of so many nodes, and what is kept for the backward pass where the agent learns."""
    assert run.shape is not None
    kept = run.shape.activation_bytes(nodes) if run.learns else 4 * nodes * (8 * run.shape.hidden + 3 * run.shape.inner)
    return float(kept + 2 * nodes**2)  # and who sees whom


def _affordance(run: Estimate) -> Iterator[Part]:
    world = run.world
    if run.trains:
        kept = run.number("affordance.episodes") * (8 * world.numbers + 120)  # of one decision each
        yield Part("the random play's decisions", kept, MEMORY, ("affordance.episodes",))
    weights = TRAINED * mlp_weights(world.numbers + world.choices, *run.numbers("affordance.hidden_sizes"), 1)
    yield Part("the affordance network's weights", weights, MEMORY, ("affordance.hidden_sizes",))


def _place(run: Estimate) -> str:
    return MEMORY if run.device == "cpu" else GPU
