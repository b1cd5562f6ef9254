"""Compare the engine's speed with its opponents' and with the machine's limit, on the same decisions in alternating rounds."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from omegaconf import DictConfig

from twosome.benchmark.config import BenchmarkConfig
from twosome.benchmark.contestants import Contestants
from twosome.benchmark.cost import Cost, Weights
from twosome.benchmark.limit import Limit, Speeds, measured
from twosome.benchmark.memory import measure_memory
from twosome.benchmark.precision import precision
from twosome.benchmark.table import line, show
from twosome.benchmark.workloads import Workload, workloads
from twosome.files import write_atomic
from twosome.policies.context import MakeEnv
from twosome.storage.provenance import cpu_name, provenance

FORMAT = 2
"""Of the file: "speed" and "memory", each with its "machine". Format 1 has no "format", and one round of one opponent, "oracle",
which is now "repeat"."""
SETTINGS = ("rounds", "num_envs", "num_steps", "synthetic_steps", "repeat_tokens")


def benchmark(config: DictConfig, options: BenchmarkConfig, makers: dict[str, MakeEnv]) -> None:
    """Measure speed or memory; print a table and write the file. makers: makes the environment of each source."""
    output = Path(options.output)
    if options.memory:
        write(output, "memory", {"machine": machine(options.seed), "runs": measure_memory(options)})
    else:
        write(output, "speed", measure_speed(config, options, makers))
    print(f"written to {output}")


def write(output: Path, part: str, found: dict[str, Any]) -> None:
    """Write one part of the file, speed or memory. The other part is kept if the file has this format."""
    try:
        before = json.loads(output.read_text())
        parts = before if before["format"] == FORMAT else {}
    except (OSError, ValueError, TypeError, KeyError):  # no such file, or another format
        parts = {}
    write_atomic(output, json.dumps({"format": FORMAT} | parts | {part: found}, indent=2) + "\n", parents=True)


def measure_speed(config: DictConfig, options: BenchmarkConfig, makers: dict[str, MakeEnv]) -> dict[str, Any]:
    """Time the workloads; print a table and return the figures."""
    contestants = Contestants.of(config, next(iter(makers.values())))
    rows, speeds = [], []
    for source, make_env in makers.items():
        steps = options.synthetic_steps if source in options.synthetic else options.num_steps
        trials: dict[bool, dict[str, Any]] = {}
        for workload in workloads(source, make_env, contestants.agent, contestants.fresh, options, steps):
            learns = workload.batch is not None
            if learns not in trials:
                trials[learns] = contestants.choose_size(workload.distinct, learns, options.cached_sizes)
            rounds = [measured_round(contestants, workload) for _ in range(options.rounds)]
            speeds += [speed for speed, _ in rounds]
            rows.append(row(workload, rounds, contestants))
            rows[-1]["cached"] |= trials[learns]
            if contestants.exact is not None and learns:  # now both have this workload's adapter
                rows[-1]["float32"] |= precision(contestants.agent, contestants.exact, workload.distinct)
            print(line(rows[-1]), file=sys.stderr, flush=True)
    found = machine(options.seed) | reached(contestants, speeds)
    show(found, rows)
    return {"machine": found, "options": {name: getattr(options, name) for name in SETTINGS}, "results": rows}


def measured_round(contestants: Contestants, workload: Workload) -> tuple[Speeds, dict[str, Cost]]:
    """Measure the machine, then time each contestant once."""
    scorer = contestants.scorer
    return measured(getattr(torch, scorer.lm.dtype), scorer.device), dict(contestants.round(workload))


def row(workload: Workload, rounds: list[tuple[Speeds, dict[str, Cost]]], contestants: Contestants) -> dict[str, Any]:
    """Return the result of one workload.

    The engine's ratio to an opponent is the opponent's time over the engine's in the same round: how many times faster the engine
    is. Its ratio to the limit is the engine's time over the limit.
    """
    costs: dict[str, list[Cost]] = defaultdict(list)
    for _, by_name in rounds:
        for name, cost in by_name.items():
            costs[name].append(cost)
    learns, tokenize = workload.batch is not None, contestants.scorer.tokenize
    limit = Limit.of(map(tokenize, workload.passes()), Weights.of(contestants.scorer), learns, tokenize(workload.met))
    least = [limit.seconds(speed) for speed, _ in rounds]
    engine = [cost.seconds for cost in costs["engine"]]
    utilisation = [cost.flops / cost.seconds / speed.peak for cost, (speed, _) in zip(costs["engine"], rounds, strict=True)]
    result: dict[str, Any] = {"source": workload.source, "work": workload.name, "decisions": len(workload.decisions),
                              "distinct": len(workload.distinct)}  # fmt: skip
    result["engine"] = described(costs.pop("engine")) | {"utilisation": spread(utilisation)}
    for name, each in costs.items():
        ratios = (cost.seconds / ours for cost, ours in zip(each, engine, strict=True))
        result[name] = described(each) | {"ratio": spread(ratios)}
    result["limit"] = {"seconds": least, "tokens": sum(limit.tokens), "projected": sum(limit.projected),
                       "flops": sum(limit.flops), "bytes": sum(limit.bytes),
                       "ratio": spread(ours / limit for ours, limit in zip(engine, least, strict=True))}  # fmt: skip
    return result


def described(costs: list[Cost]) -> dict[str, Any]:
    """Return a contestant's seconds by round, and its tokens and FLOPs, which are those of the last round."""
    last = costs[-1]
    return {"seconds": [cost.seconds for cost in costs], "tokens": last.tokens, "projected": last.projected, "flops": last.flops}


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the minimum, median and maximum."""
    every = list(values)
    return {"minimum": min(every), "median": median(every), "maximum": max(every)}


def reached(contestants: Contestants, speeds: list[Speeds]) -> dict[str, Any]:
    """Return the measured speeds, and the model that was timed."""
    return {
        "matmul_gflops": {name: spread(speed.flops[name] / 1e9 for speed in speeds) for name in speeds[0].flops},
        "bandwidth_gb_per_second": spread(speed.bandwidth / 1e9 for speed in speeds),
        **contestants.agent.provenance(),
    }


def machine(seed: int) -> dict[str, Any]:
    """Return the machine's CPU, the versions of the libraries, and the time."""
    return {"cpu": cpu_name(), **provenance(seed, {})}
