"""A lower bound of the memory of a run.

For a language model it includes the activations of one decision only, since all decisions of a rollout may be equal. Options are
not checked here; a value that is not a number counts as 0.
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
"""Baselines on which PPO's options have no effect."""
MEMORY, GPU, DISK = "memory", "GPU memory", "disk"
LARGEST = 10**30  # larger numbers of options are clipped, so that products do not overflow a float
SAMPLE_BYTES = 150  # per decision of a rollout, besides the decision: choice, log-probability, reward, value, advantage, ...
ENV_BYTES = 1_500  # per environment, besides the environment: wrappers, generator, current episode
EPISODE_BYTES = 450  # per finished episode of an evaluation
ROW_BYTES = 1_500  # per update on disk: a row of metrics.csv, TensorBoard's events


class Part(NamedTuple):
    """A part of a run's memory. what: in words. size: bytes. place: MEMORY, GPU or DISK. options: it is proportional to these."""

    what: str
    size: float
    place: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Estimate:
    """The facts about a run that estimates use.

    options: the configuration by dotted names. world: the measured environment. shape: of the language model, or None if it is
    not known. device: cpu or cuda. processes: the number of the run's processes. here: of these, on this machine. threads: per
    process. trains: False for an evaluation of a trained agent.
    """

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
        """Return the estimate of a checked configuration. A few environments are made and measured."""
        import torch

        model = model_config(config.model, config.trainer.accelerator)
        device = resolve_device(model.device).type if fsdp is None else {"cpu": "cpu", "gpu": "cuda"}[fsdp.accelerator]
        options = dict(leaves(OmegaConf.to_container(config, resolve=True)))
        processes, here = (1, 1) if fsdp is None else (fsdp.world_size, fsdp.devices)
        return cls(options, measure(make_env), shape_of(model), device, processes, here, torch.get_num_threads())

    def limited(self, option: str, most: int) -> "Estimate":
        """Return a copy in which an option, or each number of a list, is at most ``most``."""
        value = self.options[option]
        smaller = [min(each, most) for each in self.numbers(option)] if isinstance(value, list) else min(value, most)
        return replace(self, options={**self.options, option: smaller})

    def numbers(self, option: str) -> list[int]:
        """Return the positive numbers that an option holds, one or several."""
        value = self.options.get(option)
        values = value if isinstance(value, list) else [value]
        return [min(each, LARGEST) for each in values if isinstance(each, int) and not isinstance(each, bool) and each > 0]

    def number(self, option: str) -> int:
        """Return the largest number that an option holds, or 0 if it holds none."""
        return max(self.numbers(option), default=0)

    @property
    def learns(self) -> bool:
        """Whether the agent is trained; assumed for all baselines except NOT_TRAINED."""
        return self.trains and not str(self.options.get("baseline._target_")).startswith(NOT_TRAINED)

    @property
    def uses_language_model(self) -> bool:
        """Whether a language model of known shape computes the policy."""
        return self.shape is not None and "engine.batch_tokens" in self.options

    def of_algorithm(self, name: str) -> str:
        """Return the full name of an option of the algorithm: below ``algorithm``, or below the entry that holds its options."""
        return f"{self.options.get('algorithm.options', 'algorithm')}.{name}"

    @property
    def rollout(self) -> tuple[str, str]:
        """The options that a rollout's size is proportional to: environments, and decisions of each."""
        return self.of_algorithm("num_envs"), self.of_algorithm("num_steps")

    @property
    def samples(self) -> int:
        """The number of decisions of a rollout."""
        envs, steps = self.rollout
        return self.number(envs) * self.number(steps)

    @property
    def updates(self) -> int:
        """The number of updates of the run."""
        return ceil(self.number("total_steps") / max(1, self.samples))

    @property
    def tree(self) -> int:
        """A lower bound of the nodes of the first decision's token tree: one token per word."""
        return self.world.prompt_words + self.world.action_words


def memory(run: Estimate) -> Iterator[Part]:
    """Yield all parts of the run's memory."""
    kept = run.here * EPISODE_BYTES * run.number("evaluation.episodes")
    yield Part("the evaluation's episodes", kept, MEMORY, ("evaluation.episodes",))
    if run.learns:
        yield from _rollout(run)
        yield Part("the updates' metrics", run.updates * ROW_BYTES, DISK, ("total_steps",))
    if run.learns and "baseline.hidden_sizes" in run.options:
        yield from _networks(run)
    if run.uses_language_model:
        yield from _language_model(run)
    if "affordance.episodes" in run.options:
        yield from _affordance(run)


def _rollout(run: Estimate) -> Iterator[Part]:
    world, envs = run.world, run.rollout[0]
    own = run.number(envs) * run.here / run.processes
    yield Part("the environments", own * (world.env_bytes + ENV_BYTES), MEMORY, (envs,))
    sample = world.decision_bytes + SAMPLE_BYTES + 8 * world.actions
    yield Part("a rollout's decisions", run.here * run.samples * sample, MEMORY, run.rollout)
    replay = run.of_algorithm("replay_mb")
    yield Part("the replay buffer", run.here * 1e6 * run.number(replay), MEMORY, (replay,))


def _networks(run: Estimate) -> Iterator[Part]:
    world, hidden = run.world, run.numbers("baseline.hidden_sizes")
    weights = sum(mlp_weights(world.numbers, *hidden, outputs) for outputs in (world.choices, 1))
    yield Part("the networks' weights", TRAINED * weights, _place(run), ("baseline.hidden_sizes",))
    widest = max(hidden, default=0)
    options = (*run.rollout, "baseline.hidden_sizes")
    yield Part("the networks' activations", 4 * run.samples * (world.numbers + widest), _place(run), options)


def _language_model(run: Estimate) -> Iterator[Part]:
    shape, place = run.shape, _place(run)
    assert shape is not None  # run.uses_language_model is true
    copies = run.here if run.device == "cpu" else 1
    full = str(run.options.get("tuning._target_")).endswith(".Full")
    if full:  # its weights are in float32, whatever they compute in
        shape = replace(shape, dtype="float32")
    frozen = shape.frozen_bytes(run.processes) * copies
    if run.device == "cpu" and run.processes == 1 and run.options.get("model.packed_weights") and not full:
        frozen += (
            BYTES[shape.dtype] * (shape.frozen - shape.hidden) * (2 if run.learns else 1)
        )  # packed copies: forward, backward
    yield Part("the language model's weights", frozen, place, ())
    per_weight = TRAINED if run.learns else BYTES["float32"]
    if full:  # frozen_bytes counts the reference
        yield Part("all weights, gradients and moments", copies * per_weight * shape.frozen, place, ("tuning",))
    adapter = per_weight * shape.adapter_of(run.number("tuning.rank"))
    yield Part("the adapter's weights", copies * adapter, place, ("tuning.rank",))
    for head, name, outputs in (("value_head", "the critic's", 1), ("policy_head", "the action head's", run.world.choices)):
        if sizes := run.numbers(f"{head}.hidden_sizes"):
            weights = copies * TRAINED * mlp_weights(shape.hidden, *sizes, outputs)
            yield Part(f"{name} weights", weights, place, (f"{head}.hidden_sizes",))
    yield Part(f"the token tree of a decision with {run.world.actions:,} actions", activations(run, run.tree), place, ("env.id",))


def activations(run: Estimate, nodes: int) -> float:
    """Return the bytes of a forward pass over so many nodes, and of the activations for a backward pass if the agent learns."""
    assert run.shape is not None
    kept = run.shape.activation_bytes(nodes) if run.learns else 4 * nodes * (8 * run.shape.hidden + 3 * run.shape.inner)
    return float(kept + 2 * nodes**2)  # the attention mask


def _affordance(run: Estimate) -> Iterator[Part]:
    world = run.world
    if run.trains:
        kept = run.number("affordance.episodes") * (8 * world.numbers + 120)  # at least one decision per episode
        yield Part("the random play's decisions", kept, MEMORY, ("affordance.episodes",))
    weights = TRAINED * mlp_weights(world.numbers + world.choices, *run.numbers("affordance.hidden_sizes"), 1)
    yield Part("the affordance network's weights", weights, MEMORY, ("affordance.hidden_sizes",))


def _place(run: Estimate) -> str:
    return MEMORY if run.device == "cpu" else GPU
