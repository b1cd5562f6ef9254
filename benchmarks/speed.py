"""Time the engine (token trees) against its opponents and the machine's limit: docs/speed.md explains the figures.

Each kind of work is done by all in alternating rounds, with the same model and on the same decisions:

  first_rollout, later_rollout   the model's part of a rollout of a random policy: the first one of a run, or one after updates
  update                         one pass over the rollout's samples as one minibatch

by the engine, and by

  repeat      a row per prompt and action for every sample, with all logits, as TWOSOME's reference code; a part is timed
  cached      transformers' key-value cache in the hands of a careful user; no duplicates within a step or a minibatch
  remembered  the same, by an agent that remembers policies until the weights change, as it does with the engine

The limit is the least time that the distinct tokens take at the measured speed of products and of memory.

Examples:
  python benchmarks/speed.py
  python benchmarks/speed.py --sources task --works update --rounds 5 env.task=tomato_lettuce_salad tuning.layers=null
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

import oracle
import synthetic
from twosome import build
from twosome.agents.agent import MakeEnv
from twosome.agents.language import LanguageAgent
from twosome.algorithms.algorithm import Progress
from twosome.algorithms.ppo import PPO, PPOConfig, policy_terms
from twosome.algorithms.rollout import Batch
from twosome.api import compose
from twosome.decision import Decision, DecisionText
from twosome.envs.vector import DecisionEnvs
from twosome.language.cpu.packed_linear import PackedLinear
from twosome.language.engine import MASKED, Engine, Scores
from twosome.language.loading import LanguageModel, decoder_layers, frozen_depth
from twosome.language.norms import Normalization
from twosome.language.scorer import OutputLayer, Scorer
from twosome.language.tokens import TokenizedDecision, tokenizer_of
from twosome.language.tree import PackedRow
from twosome.storage.provenance import cpu_name, provenance

SOURCES = ("task", *synthetic.TASKS)
WORKS = ("first_rollout", "later_rollout", "update")
OPPONENTS = ("repeat", "cached", "remembered")
SETTINGS = ["algorithm.value_update_epochs=1", "algorithm.num_minibatches=1", "algorithm.minibatch=samples",
            "algorithm.target_kl=null", "algorithm.count_exponent=0", "algorithm.norm_adv=true", "algorithm.base_kl_coef=0",
            "algorithm.ent_coef=0.2"]  # fmt: skip
"""Of an update of one optimiser step, with adapters on the layers on which the default preset has them."""
CACHED_SIZES = (1, 2, 4, 8)  # decisions per batch of the cached opponent; the fastest is found before the rounds
REPEAT_TOKENS = 1_024  # on which the repeating opponent is timed
AT_ONCE = 4  # its decisions per batch, as many as the environments of TWOSOME's reference code
MATRIX = 2048  # rows and columns of the matrices whose product gives the peak
TRIAD = 2**26  # numbers per array of the measurement of the bandwidth: three float32 arrays of 0.3 GB, larger than the caches


# The work


@dataclass(frozen=True)
class Work:
    """Work that can be done repeatedly.

    name: one of WORKS. steps: a rollout's decisions by step. batch: the samples of an update; None for a rollout. memories: the
    agent's at the beginning. met: the decisions whose lower layers the engine has in its cache. adapter: the size of LoRA's B
    matrices: 0 before the first update of a run.
    """

    source: str
    name: str
    steps: list[list[Decision]]
    ppo: PPOConfig
    memories: dict[str, Any]
    met: list[DecisionText]
    adapter: float
    batch: Batch | None = None

    @property
    def decisions(self) -> list[Decision]:
        """All decisions, duplicates included."""
        return [decision for step in self.steps for decision in step]

    @property
    def distinct(self) -> list[DecisionText]:
        """The distinct decisions."""
        return list(dict.fromkeys(decision.text for decision in self.decisions))

    def do(self, agent: LanguageAgent, forget: bool = False) -> None:
        """Do the work with an agent. forget: whether a rollout forgets the policies of the steps before."""
        if self.batch is not None:
            groups, generator = agent.parameter_groups(), torch.Generator().manual_seed(0)
            PPO(self.ppo).update_policy(agent, self.batch, torch.optim.AdamW(groups["policy"], lr=0.0), Progress(0, 1), generator)
            PPO(self.ppo).update_critic(agent, self.batch, torch.optim.Adam(groups["value"], lr=0.0), generator)
            return
        agent.eval()
        agent.begin_rollout()
        for step in self.steps:
            if forget:  # but not the critic's features, which never change
                agent.set_extra_state(agent.get_extra_state() | {"decisions": [], "again": None})
            agent.log_policy(step)
        agent.values(self.decisions)


def works(
    source: str, make_env: MakeEnv, agent: LanguageAgent, fresh: dict[str, Any], ppo: PPOConfig, seed: int
) -> Iterator[Work]:
    """Yield a source's work in the order of WORKS. fresh: the memories of a new agent.

    The later rollout comes after two others of the same random policy, each followed by an update.
    """
    sample = random_rollout(make_env, ppo, seed)
    yield Work(source, "first_rollout", sample, ppo, fresh, [], 0.0)
    set_adapter(agent, 0.0)
    agent.set_extra_state(fresh)
    met: list[DecisionText] = []
    for earlier in (seed + 1, seed + 2):
        work = Work(source, "", random_rollout(make_env, ppo, earlier), ppo, fresh, [], 0.0)
        work.do(agent)
        met += work.distinct
        set_adapter(agent, 1e-3)
    later = Work(source, "later_rollout", sample, ppo, agent.get_extra_state(), list(met), 1e-3)
    yield later
    set_adapter(agent, 1e-3)
    batch = random_samples(agent, later.decisions)
    yield Work(source, "update", sample, ppo, agent.get_extra_state(), [*met, *later.distinct], 1e-3, batch)


def random_rollout(make_env: MakeEnv, ppo: PPOConfig, seed: int) -> list[list[Decision]]:
    """Return the decisions of a rollout of a uniformly random policy, by step."""
    envs, choose, steps = DecisionEnvs(make_env, ppo.num_envs), random.Random(seed), []
    decisions = envs.reset(seed)
    for _ in range(ppo.num_steps):
        steps.append(decisions)
        decisions = envs.step([choose.choice(decision.action_ids) for decision in decisions]).decisions
    envs.close()
    return steps


def random_samples(agent: LanguageAgent, decisions: Sequence[Decision]) -> Batch:
    """Return samples for an update: random choices with the policy's log-probabilities, and random advantages."""
    generator = torch.Generator().manual_seed(0)
    log_policy = agent.log_policy(decisions)
    sizes = torch.tensor([len(decision.action_ids) for decision in decisions])
    choices = (torch.rand(len(decisions), generator=generator) * sizes).long()
    values = agent.values(decisions)
    noise = torch.randn(2, len(decisions), generator=generator).to(values.device)
    logprobs = log_policy.gather(1, choices[:, None].to(log_policy.device))[:, 0]
    return Batch(list(decisions), choices.to(values.device), logprobs, values, noise[0], values + noise[1])


@torch.no_grad()
def set_adapter(agent: LanguageAgent, size: float) -> None:
    """Set LoRA's B matrices to random values times size: 0 as before the first update of a run, small as after it."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in agent.lm.named_parameters():
        if "lora_B" in name:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)


# The opponent with a key-value cache


class CachedEngine(Engine):
    """Transformers' own functions, used as a careful user would.

    The prompts of several distinct decisions are one batch. Their key-value cache is computed once, and every action of a
    decision continues its own copy of it in a second batch. Logits are computed only at positions that predict a token of an
    action. size: decisions per batch.
    """

    def __init__(self, lm: LanguageModel, norm: Normalization) -> None:
        super().__init__(lm, norm)
        self.size, self.tokenize = 1, tokenizer_of(lm)
        self.output = OutputLayer(lm)
        self.hidden_size: int = lm.base.config.get_text_config().hidden_size

    @property
    def device(self) -> torch.device:
        """See Engine."""
        return self.output.head.weight.device

    def batches(self, texts: Sequence[DecisionText]) -> Iterator[tuple[list[int], Scores]]:
        """See Engine; decisions of similar length are in one batch, for little padding."""
        every = self.tokenize(texts)
        for indices in self._grouped([(len(prompt), max(map(len, actions))) for prompt, actions in every]):
            yield indices, self._scores([texts[index] for index in indices], [every[index] for index in indices])

    def states(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], Tensor]]:
        """See Engine."""
        every = [self.tokenize.prompt(prompt) for prompt in prompts]
        for indices in self._grouped([(len(prompt),) for prompt in every]):
            ids, mask = self._padded([every[index] for index in indices])
            yield indices, at_ends(self._run(ids, mask, use_cache=False).last_hidden_state, mask).float()

    def _grouped(self, lengths: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
        order = sorted(range(len(lengths)), key=lambda index: lengths[index])
        return (order[first : first + self.size] for first in range(0, len(order), self.size))

    def _padded(self, sequences: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """Return sequences as a batch, padded on the right, and its mask: 1 for tokens, 0 for padding."""
        ids, ones = ([torch.tensor(each) for each in sequences], [torch.ones(len(each)).long() for each in sequences])
        return pad_sequence(ids, batch_first=True).to(self.device), pad_sequence(ones, batch_first=True).to(self.device)

    def _run(self, ids: Tensor, visible: Tensor, **options: Any) -> Any:
        """Run the model. visible: the mask of the batch's tokens and, before them, of those in the cache."""
        self.tokens_computed += ids.numel()
        positions = (visible.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return self.lm.backbone(input_ids=ids, attention_mask=visible, position_ids=positions, **options)

    def _scores(self, texts: Sequence[DecisionText], tokenized: Sequence[TokenizedDecision]) -> Scores:
        """Score one batch."""
        ids, mask = self._padded([decision.prompt for decision in tokenized])
        output = self._run(ids, mask, use_cache=True, past_key_values=DynamicCache(config=self.lm.base.config))
        states = at_ends(output.last_hidden_state, mask)
        actions = [action for decision in tokenized for action in decision.actions]
        owners = [row for row, decision in enumerate(tokenized) for _ in decision.actions]
        predicting = states  # a row per decision, then one per token of an action before its last
        longer = [row for row, action in enumerate(actions) if len(action) > 1]
        if longer:
            ids, more = self._padded([actions[row][:-1] for row in longer])
            mine = torch.tensor([owners[row] for row in longer], device=self.device)
            output.past_key_values.reorder_cache(mine)
            visible = torch.cat([mask[mine], more], dim=1)
            after = self._run(ids, visible, use_cache=True, past_key_values=output.past_key_values).last_hidden_state
            predicting = torch.cat([states, after[more.bool()]])
        place, sources = len(tokenized), []
        for owner, action in zip(owners, actions, strict=True):
            sources += [owner, *range(place, place + len(action) - 1)]
            place += len(action) - 1
        targets = [token for action in actions for token in action]
        source, target = (torch.tensor(each, device=self.device) for each in (sources, targets))
        terms = self.output.edge_log_probs(predicting, source, target).split(list(map(len, actions)))
        words = [each for _, prompts in texts for each in prompts]
        divisors = torch.tensor([self.norm(each, len(action)) for each, action in zip(words, actions, strict=True)])
        tokens = pad_sequence(list(terms), batch_first=True, padding_value=torch.nan)
        totals, counts = tokens.nansum(dim=1), [len(decision.actions) for decision in tokenized]
        logprobs, scores, by_token = (
            pad_sequence(list(values.split(counts)), batch_first=True, padding_value=padding)
            for values, padding in ((totals, MASKED), (totals / divisors.to(self.device), MASKED), (tokens, torch.nan))
        )
        return Scores(logprobs, scores, states.float(), by_token, by_token.new_zeros((*by_token.shape, 0)))


def at_ends(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the last hidden state of each sequence's last token, (rows, hidden)."""
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1]


# A round


class Cost(NamedTuple):
    """tokens: the model's input tokens, padding included; with cached lower layers, by the share of the layers above them."""

    seconds: float
    tokens: float


@contextmanager
def plain_products(model: nn.Module) -> Iterator[None]:
    """Make the model's packed layers use PyTorch's ordinary product within the context."""
    layers = [layer for layer in model.modules() if isinstance(layer, PackedLinear)]
    for layer in layers:
        layer.plain = True
    try:
        yield
    finally:
        for layer in layers:
            layer.plain = False


class Contestants:
    """agent: with the engine. other: with the cached opponent, and the same model. Both opponents multiply as PyTorch does."""

    def __init__(self, config: DictConfig, make_env: MakeEnv) -> None:
        agent = build.agent(config, make_env)
        assert isinstance(agent, LanguageAgent)
        assert isinstance(agent.engine, Scorer), "expected a decoder-only model that token trees compute"
        self.agent, self.trees = agent, agent.engine
        self.cached = CachedEngine(agent.engine.lm, agent.engine.norm)
        other = build.agent(config, make_env, lambda *_: self.cached)
        assert isinstance(other, LanguageAgent)
        self.other = other

    def round(self, work: Work) -> dict[str, Cost]:
        """Do the work once by each."""
        set_adapter(self.agent, work.adapter)
        self.agent.set_extra_state(work.memories)
        self.trees.warm_cache(work.met)
        costs = {"engine": timed(self.trees, partial(work.do, self.agent))}
        with plain_products(self.agent.lm):
            for name in ("cached", "remembered") if work.batch is None else ("cached",):
                self.other.set_extra_state(work.memories)
                costs[name] = timed(self.cached, partial(work.do, self.other, forget=name == "cached"))
            costs["repeat"] = self.repeat(work)
        return costs

    def repeat(self, work: Work) -> Cost:
        """Compute a row per prompt and action for a part of the work; return the cost of all of it."""
        few, factor = self.part(work.decisions)
        batch = None if work.batch is None else random_samples(self.agent, few)

        def repeated() -> None:
            for first in range(0, len(few), AT_ONCE):
                some = slice(first, first + AT_ONCE)
                self.agent.critic(oracle.features(self.trees, [decision.prompt for decision in few[some]]))
                log_policy = oracle.score(self.trees, [decision.text for decision in few[some]]).log_policy()
                if batch is not None:
                    chosen = (batch.choices[some], batch.logprobs[some], batch.advantages[some])
                    terms = policy_terms(log_policy, *chosen, work.ppo.clip_coef)
                    (terms.loss - work.ppo.ent_coef * terms.entropy).mean().backward()

        with torch.set_grad_enabled(batch is not None):
            cost = timed(self.trees, repeated)
        self.agent.zero_grad()
        return Cost(cost.seconds * factor, cost.tokens * factor)

    def part(self, decisions: Sequence[Decision]) -> tuple[list[Decision], float]:
        """Return decisions, evenly spaced, of REPEAT_TOKENS tokens in all, and the tokens of all over theirs.

        Tokens are those of a row per action. Of the last decision only the first actions are taken.
        """
        tokenized = self.trees.tokenize([decision.text for decision in decisions])
        rows = [[len(prompt) + len(action) for action in actions] for prompt, actions in tokenized]
        every, few, taken = sum(map(sum, rows)), [], 0
        count = max(1, min(len(decisions), round(REPEAT_TOKENS * len(decisions) / every)))
        for decision, lengths in list(zip(decisions, rows, strict=True))[:: len(decisions) // count]:
            if taken >= REPEAT_TOKENS:
                break
            size = next((n for n in range(1, len(lengths)) if taken + sum(lengths[:n]) >= REPEAT_TOKENS), len(lengths))
            few.append(decision._replace(action_ids=decision.action_ids[:size], action_prompts=decision.action_prompts[:size]))
            taken += sum(lengths[:size])
        return few, every / taken

    def choose_size(self, work: Work) -> None:
        """Give the cached opponent the fastest of CACHED_SIZES; each is timed on as many decisions as the largest."""
        few, seconds = work.distinct[: max(CACHED_SIZES)], {}
        with plain_products(self.agent.lm), torch.set_grad_enabled(work.batch is not None):
            self.cached.score(few[:1])  # not timed: the first products take longer
            for self.cached.size in sorted({min(size, len(few)) for size in CACHED_SIZES}):
                start = now()
                for _, scores in self.cached.batches(few):
                    if work.batch is not None:
                        scores.log_policy().sum().backward()
                seconds[self.cached.size] = now() - start
        self.agent.zero_grad()
        self.cached.size = min(seconds, key=lambda size: seconds[size])

    @torch.no_grad()
    def differences(self, work: Work) -> dict[str, float]:
        """Return the largest difference in nats between the opponents' log-probabilities of actions and the engine's."""
        texts = [decision.text for decision in self.part(work.decisions)[0]]
        expected, found = self.trees.score(texts), {"cached": self.cached.score(texts), "repeat": oracle.score(self.trees, texts)}
        return {name: float((scores.logprobs - expected.logprobs).abs().max()) for name, scores in found.items()}


def timed(engine: Engine, work: Callable[[], Any]) -> Cost:
    """Do the work once; return its cost."""
    engine.tokens_computed = 0
    start = now()
    work()
    return Cost(now() - start, engine.tokens_computed)


def now() -> float:
    """Return the time in seconds, after the GPU has finished its work, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


# The limit


class Speeds(NamedTuple):
    """FLOP/s of a matrix product, by library, and bytes per second from memory."""

    flops: dict[str, float]
    bandwidth: float


@torch.no_grad()
def measured(dtype: torch.dtype, device: torch.device) -> Speeds:
    """Measure the machine's speeds: products in dtype by PyTorch, and on a CPU by oneDNN with a packed weight; a = b + 2 c."""
    x = torch.randn(MATRIX, MATRIX, device=device, dtype=dtype)
    layer = nn.Linear(MATRIX, MATRIX, bias=False, device=device, dtype=dtype).requires_grad_(False)
    products: dict[str, nn.Module] = {"PyTorch": layer}
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        products["oneDNN"] = PackedLinear(layer)
    flops = {name: 2 * MATRIX**3 / fastest(partial(product, x)) for name, product in products.items()}
    b, c = torch.ones(TRIAD, device=device), torch.ones(TRIAD, device=device)
    a = torch.empty_like(b)
    return Speeds(flops, 3 * a.nbytes / fastest(lambda: torch.add(b, c, alpha=2, out=a)))


def fastest(work: Callable[[], Any]) -> float:
    """Return the shortest of the times of three calls."""
    times = []
    for _ in range(3):
        start = now()
        work()
        times.append(now() - start)
    return min(times)


def limit(engine: Scorer, work: Work, rounds: Sequence[Speeds]) -> tuple[int, list[float]]:
    """Return the distinct tokens of the work, and the least time that they take at each round's speeds.

    A pass begins when the one before it has ended: a step of a first rollout; otherwise the work is one pass. It takes the
    longer of its products and its reading. A token in its context is computed once, and by the cached lower layers if they have
    not met it; a prediction is computed once. Each costs 2 FLOPs per weight, and as many again where gradients flow. The weights
    are read once, and those of the layers that learn again for the backward pass. Attention and activations are not counted.
    """
    embeddings = engine.backbone.get_input_embeddings().weight
    every = [weight for weight in engine.backbone.parameters() if weight is not embeddings]
    below = list(decoder_layers(engine.backbone)[1][: frozen_depth(engine.lm)].parameters())
    layers, lower, head = (
        (sum(weight.numel() for weight in weights), sum(weight.nbytes for weight in weights))
        for weights in (every, below, [engine.head.weight])
    )
    times = 1 if work.batch is None else 2
    tree, met, seconds = PackedRow(), PackedRow(), [0.0] * len(rounds)
    for decision in engine.tokenize(work.met):
        met.add(len(met.decisions), decision)
    before = (0, 0, len(met))
    for step in work.steps if work.name == "first_rollout" else [work.decisions]:
        for decision in engine.tokenize([each.text for each in step]):
            tree.add(len(tree.decisions), decision)
            met.add(len(met.decisions), decision)
        after = (len(tree), len({node for node, _ in tree.edges}), len(met))
        tokens, projected, new = (one - other for one, other in zip(after, before, strict=True))
        before = after
        if tokens:
            flops = 2 * (times * ((layers[0] - lower[0]) * tokens + head[0] * projected) + lower[0] * new)
            read = head[1] + times * (layers[1] - lower[1]) + (lower[1] if new else 0)
            least = (max(flops / max(each.flops.values()), read / each.bandwidth) for each in rounds)
            seconds = [sum(both) for both in zip(seconds, least, strict=True)]
    return len(tree), seconds


# The figures


def row(contestants: Contestants, work: Work, rounds: int) -> tuple[dict[str, Any], list[Speeds]]:
    """Time one kind of work; return its figures and the machine's speeds in each round.

    The ratio to an opponent is its time over the engine's in the same round: how many times faster the engine is. The ratio to
    the limit is the engine's time over it.
    """
    trees = contestants.trees
    dtype = getattr(torch, trees.lm.dtype)
    speeds, costs = zip(*((measured(dtype, trees.device), contestants.round(work)) for _ in range(rounds)), strict=True)
    engine = [cost["engine"].seconds for cost in costs]
    result: dict[str, Any] = {"source": work.source, "work": work.name, "decisions": len(work.decisions),
                              "distinct": len(work.distinct)}  # fmt: skip
    for name in costs[0]:
        result[name] = {"seconds": [cost[name].seconds for cost in costs], "tokens": round(costs[-1][name].tokens)}
        if name != "engine":
            result[name]["ratio"] = spread(cost[name].seconds / ours for cost, ours in zip(costs, engine, strict=True))
    tokens, least = limit(trees, work, speeds)
    ratios = spread(ours / fewest for ours, fewest in zip(engine, least, strict=True))
    result["limit"] = {"seconds": least, "tokens": tokens, "ratio": ratios}
    result["cached"]["decisions_per_batch"] = contestants.cached.size
    for name, difference in contestants.differences(work).items():
        result[name]["largest_difference"] = difference
    return result, list(speeds)


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the minimum, median and maximum."""
    every = list(values)
    return {"minimum": min(every), "median": median(every), "maximum": max(every)}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table."""
    lines = [f"| | decisions (distinct) | seconds | {' | '.join((*OPPONENTS, 'limit'))} |", "|---|---|---|" + "---|" * 4]
    for each in rows:
        cells = [f"{each['source']}, {each['work']}", f"{each['decisions']:,} ({each['distinct']:,})",
                 f"{median(each['engine']['seconds']):.2f}"]  # fmt: skip
        cells += [ratio(each[name]["ratio"]) if name in each else "" for name in (*OPPONENTS, "limit")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(found: dict[str, float]) -> str:
    """Return the median, and the minimum and maximum in brackets."""
    digits = ",.1f" if found["maximum"] < 100 else ",.0f"
    low, middle, high = (format(found[name], digits) for name in ("minimum", "median", "maximum"))
    return f"{middle} ({low}-{high})"


def composed(words: Sequence[str], num_envs: int, num_steps: int) -> DictConfig:
    """Return a run's configuration with rollouts of this size."""
    return compose("config", [*SETTINGS, f"algorithm.num_envs={num_envs}", f"algorithm.num_steps={num_steps}", *words])[0]


def main() -> None:
    """Time the chosen work, print a table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="options of src/run.py: env.task=..., model=..., tuning.layers=..., trainer=gpu")
    parser.add_argument("--sources", default=",".join(SOURCES), help="whose decisions: the task's, or prompts that never recur")
    parser.add_argument("--works", default=",".join(WORKS), help="what is timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-envs", type=int, default=32, help="environments of a rollout of the task")
    parser.add_argument("--num-steps", type=int, default=32, help="its steps")
    parser.add_argument("--synthetic-decisions", type=int, default=8, help="decisions of a rollout of one step of other prompts")
    parser.add_argument("--output", type=Path, default=Path("speed.json"))
    options = parser.parse_intermixed_args()
    config = composed(options.words, options.num_envs, options.num_steps)
    contestants = Contestants(config, build.environment(config.env))
    fresh, rows, speeds = contestants.agent.get_extra_state(), [], []
    for source in options.sources.split(","):
        env, own = config.env, config
        if source != "task":
            env = OmegaConf.create({"id": synthetic.ID, "task": source})
            own = composed(options.words, options.synthetic_decisions, 1)
        name = config.env.task if source == "task" else source
        chosen: dict[bool, int] = {}
        ppo: PPOConfig = build.algorithm(own).config  # type: ignore[attr-defined]
        for work in works(name, build.environment(env), contestants.agent, fresh, ppo, config.seed):
            if work.name not in options.works.split(","):
                continue
            learns = work.batch is not None
            if learns not in chosen:
                contestants.choose_size(work)
                chosen[learns] = contestants.cached.size
            figures, found = row(contestants, work, options.rounds)
            rows.append(figures)
            speeds += found
            print(f"{work.source} {work.name}: {median(figures['engine']['seconds']):.2f} s", file=sys.stderr, flush=True)
    machine = {
        "cpu": cpu_name(),
        **provenance(config.seed, contestants.agent.provenance()),
        "matmul_gflops": {name: spread(each.flops[name] / 1e9 for each in speeds) for name in speeds[0].flops},
        "bandwidth_gb_per_second": spread(each.bandwidth / 1e9 for each in speeds),
    }
    given = {name: value for name, value in vars(options).items() if name != "output"}
    options.output.write_text(json.dumps({"machine": machine, "options": given, "results": rows}, indent=2) + "\n")
    print(table(rows))
    products = ", ".join(f"{name} {ratio(each)}" for name, each in machine["matmul_gflops"].items())
    print(f"\nmedian (minimum-maximum) of {options.rounds} rounds; products: {products} GFLOP/s; "
          f"memory: {ratio(machine['bandwidth_gb_per_second'])} GB/s; written to {options.output}")  # fmt: skip


if __name__ == "__main__":
    main()
