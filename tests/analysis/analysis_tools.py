"""Run folders with known numbers."""

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from checkout import ROOT
from matplotlib.figure import Figure

from twosome.identity import identity
from twosome.report import claims, measures, runs
from twosome.report.output import PUBLISHED, Folder
from twosome.report.paper import Paper
from twosome.report.runs import Run
from twosome.report.statistics import AXES

PAPER = Paper.read(ROOT / "analysis" / "paper.yaml")
CLAIMS = claims.read(ROOT / "analysis" / "claims.yaml")
MEASURES = measures.by_name(PAPER)
FEW = ["--bootstrap-samples", "50", "--window", "512"]
AGAINST = {
    axis.name: {
        f"curves{axis.suffix}.csv",
        *(f"curves_{name}{axis.suffix}.{kind}" for name in ("norms", "baselines") for kind in ("png", "pdf")),
    }
    for axis in AXES.values()
}
"""What curves.py writes, by the value of --against."""
ALL = ("csv", "md", "tex", "pdf", "png")
WRITES = {
    "curves": AGAINST["env_steps"],
    "summary": {"summary.md", "summary.csv", "summary.tex"},
    "generalization": {f"{name}.{suffix}" for name in ("generalization", "transfer") for suffix in ALL},
    "retention": {
        *(f"retention.{suffix}" for suffix in ALL),
        *("drift.csv", "drift.md", "drift.tex", "forgetting.csv", "forgetting.pdf", "forgetting.png"),
    },
    "claims": {"claims.md", "claims.csv"},
}
WRITES["report"] = {"report.html", *set.union(*WRITES.values(), *AGAINST.values())}
OPTIMUM = 0.92
OVERCOOKED, VIRTUALHOME = "twosome/Overcooked-v0", "twosome/VirtualHome-v0"
NUM_ENVS, EPISODE = 4, 16  # in every run: so many environments end an episode together after so many decisions of each


def make_run(
    folder: Path,
    method: str = "twosome-word",
    seed: int = 0,
    curve: Callable[[int], float] | Sequence[float] = lambda step: 0.5,
    steps: int = 8192,
    task: str = "tomato_salad",
    after: float | None = 0.5,
    before: float | None = None,
    **changes: Any,
) -> Path:
    """Write a finished run's folder; returns it.

    method: baseline, then norm or affordance. curve: the discounted return of the episodes that end at an environment step
    (every 64, by all of 4 environments). steps: 0 for a policy that is only evaluated. after, before: mean return of the
    evaluations; None for none. changes: of the configuration, by top-level entry.
    """
    baseline, _, variant = method.partition("-")
    language = baseline in ("twosome", "saycan")
    norm = variant if baseline == "twosome" else "word"
    config = {
        "seed": seed,
        "total_steps": steps or 36_864,
        "env": {"id": OVERCOOKED, "task": task, "prompt": "default", "gamma": 0.99, "kwargs": {"map": "A"}},
        "norm": {"_target_": f"twosome.language.norms.{norm}", "_partial_": True},
        "baseline": {"_target_": f"twosome.agents.{baseline}.build"},
        "model": {"source": "smollm2" if language else "other", "seed": seed, "device": "auto"},
        "algorithm": {"num_envs": NUM_ENVS, "learning_rate": 1e-3},
        "trainer": {"accelerator": "cpu"},
    }
    choices = {"env": "overcooked", "norm": norm, "baseline": baseline, "experiment": None}
    if baseline == "saycan":
        config["baseline"]["affordance"] = {"_target_": f"twosome.agents.saycan.{variant}", "_partial_": True}
        choices["affordance"] = variant
    write_json(folder / "choices.json", choices)
    (folder / "config.yaml").write_text(yaml.safe_dump(config | changes))
    model = {"model": "SmolLM2-135M-Instruct", "model_checksum": "c0ffee"} if language else {}
    write_json(folder / "provenance.json", {
        **identity(config | changes, choices, language), **model,
        "packages": {"torch": "2.13.0"}, "git_commit": "0123abc", "seed": seed, "started": "2026-01-31T12:00:00+00:00",
        "finished": "2026-01-31T12:05:00+00:00",
    })  # fmt: skip
    records = [record(task, when, mode, value) | {"env": (config | changes)["env"]["id"]}
               for when, value in (("before", before), ("after", after)) if value is not None
               for mode in ("sampled", "greedy")]  # fmt: skip
    write_json(folder / "evaluation.json", records)
    if steps:
        write_training(folder, curve, steps)
    (folder / "DONE").write_text("")
    return folder


def write_training(folder: Path, curve: Callable[[int], float] | Sequence[float], steps: int) -> None:
    """metrics.csv and episodes.csv."""
    ends = range(NUM_ENVS * EPISODE, steps + 1, NUM_ENVS * EPISODE)
    rows = ["env_step,env,discounted_return,raw_return,decisions,primitive_steps,terminated,success"]
    for number, end in enumerate(ends):
        value = curve(end) if callable(curve) else curve[number]
        rows += [f"{end},{env},{value!r},1.0,{EPISODE},40,True,{value > 0.4}" for env in range(NUM_ENVS)]
    (folder / "episodes.csv").write_text("\n".join(rows) + "\n")
    updates = [f"{n},{n * steps // 4},{6 * n},1.5,0.5" for n in (1, 2, 3, 4)]
    head = "update,env_steps,optimizer_steps,rollout_seconds,update_seconds"
    (folder / "metrics.csv").write_text("\n".join([head, *updates]) + "\n")


def record(task: str, when: str, mode: str, value: float) -> dict[str, Any]:
    """A record of evaluation.json."""
    return {
        "when": when, "env": OVERCOOKED, "task": task, "prompt": "default", "options": {}, "mode": mode,
        "seed": 1000, "episodes": 100, "success_rate": 0.75, "return_mean": value, "return_std": 0.1, "decisions_mean": 16.5,
        "primitive_steps_mean": 40.0, "optimum": OPTIMUM,
    }  # fmt: skip


def unseen_records(
    task: str, trained: float, untrained: float = 0.5, random: float = 0.2, episodes: int = 100, env: str = OVERCOOKED
) -> list[dict[str, Any]]:
    """What suite=unseen adds to evaluation.json for a task; greedy agents succeed half as often."""
    rates = {"random": random, "before": untrained, "after": trained}
    changes = {"env": env, "episodes": episodes}
    return [
        record(task, when, mode, rate) | changes | {"success_rate": rate if mode == "sampled" else rate / 2}
        for when, rate in rates.items()
        for mode in ("sampled", "greedy")
    ]


def add_records(folder: Path, records: Sequence[dict[str, Any]], at: str | None = None) -> Path:
    """Evaluate a run further; returns its folder. at: when; None: as before there was such an entry."""
    file, entry = folder / "evaluation.json", {"evaluated": evaluated(at)} if at else {}
    write_json(file, [*json.loads(file.read_text()), *(record | entry for record in records)])
    return folder


def evaluated(at: str) -> dict[str, Any]:
    """What later evaluations say of themselves."""
    return {"at": at, "by": "somebody@somewhere", "suite": "episodes", "trust": False}


BENCHMARKS = ("arc_challenge", "hellaswag", "piqa", "mmlu")


def paired(outcomes: str, interval: tuple[float, float] = (-0.1, 0.1), p_value: float = 0.5) -> dict[str, Any]:
    """A paired comparison of retention.json, of a letter for each item: - l g r."""
    items, lost, gained, both = len(outcomes), outcomes.count("l"), outcomes.count("g"), outcomes.count("r")
    return {
        "items": items, "before": (lost + both) / items, "after": (gained + both) / items,
        "difference": (gained - lost) / items, "interval": list(interval), "lost": lost, "gained": gained,
        "p_value": p_value, "no_loss_above": 0.05, "outcomes": outcomes,
    }  # fmt: skip


def add_retention(folder: Path, outcomes: dict[str, str], kl: float = 0.1, probes: int = 0) -> Path:
    """What the drift probe and suite=retention left: outcomes of acc by benchmark; probes during training."""
    drift = {"texts": "0f", "tokens": 1000, "perplexity": {"before": 20.0, "after": 20.0 * (1 + kl)}, "kl": kl,
             "kl_interval": [kl / 2, kl * 2], "perplexity_ratio": 1 + kl, "perplexity_ratio_interval": [1.0, 1 + 2 * kl],
             "top1_agreement": 0.9, "top1_agreement_interval": [0.8, 0.95]}  # fmt: skip
    for metric in ("acc", "acc_norm"):
        drift[metric] = {name: value for name, value in paired("rrl-g-rrrr").items() if name != "outcomes"}
    entries = {
        name: {"lm_eval": "0.4.13", "source": "local files", "data": f"{len(own)} of {name}", "items": len(own),
               "metrics": {"acc": paired(own)}}
        for name, own in outcomes.items()
    }  # fmt: skip
    write_json(folder / "retention.json", {"drift": drift, **({"benchmarks": entries} if entries else {})})
    if probes:
        rows = [f"{n},{n * 1024},{0.1 * n:.17g},{0.2 * n},{kl * n / probes!r},{1 + kl * n / probes!r},0.9,0.5,0.4"
                for n in range(1, probes + 1)]  # fmt: skip
        head = "update,env_steps,return,success_rate,kl,perplexity_ratio,top1_agreement,acc,acc_norm"
        (folder / "retention.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def made(script: str, *words: object) -> dict[str, Path]:
    """What a command wrote, by name."""
    command = import_module(script).command
    parser = command.parser()
    if script in ("curves", "summary", "claims", "ablations", "report"):
        parser.set_defaults(bootstrap_samples=50, window=512)
    return {path.name: path for path in command.make(parser.parse_args(list(map(str, words))))}


def refused(capsys, script: str, *words: object, code: int = 2) -> str:
    """The line that a command says."""
    assert import_module(script).main(list(map(str, words))) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err


def drawn(monkeypatch, script: str, *words: object) -> dict[str, Figure]:
    """The figures that a command draws, by name."""
    figures: dict[str, Figure] = {}
    monkeypatch.setattr(Folder, "figure", lambda out, name, figure: figures.setdefault(name, figure))
    made(script, *words)
    return figures


def published(found: Sequence[Run], folder: Path) -> Path:
    """A folder of published tables."""
    runs.publish(found, Folder(folder, PUBLISHED))
    return folder


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def rising(final: float, half: int, start: float = -0.5) -> Callable[[int], float]:
    """A curve that starts low and has half of its way behind it after so many steps."""
    return lambda step: final - (final - start) * 0.5 ** (step / half)


def make_study(folder: Path, seeds: Sequence[int] = (0, 1, 2), steps: int = 8192, task: str = "tomato_salad") -> Path:
    """All methods on a task, as the paper has them: word learns fastest, no norm collapses, PPO is slow."""
    for seed in seeds:
        off = 0.01 * seed
        curves = {
            "twosome-word": rising(0.92 - off / 10, steps // 16),
            "twosome-token": rising(0.90 - off, steps // 8),
            "twosome-none": lambda step, off=off: rising(0.9, steps // 20)(step) if step < steps / 2 else 0.5 - off,
            "ppo": rising(0.86 - off, steps // 6),
        }
        for method, curve in curves.items():
            made = make_run(folder / f"{method}-{seed}", method, seed, curve, steps, task, after=curve(steps), before=-0.03)
            if method == "twosome-word":
                add_records(made, unseen_records("lettuce_salad", 0.9 - off))
                add_retention(made, dict.fromkeys(BENCHMARKS, "r" * 140 + "-" * 140 + "lg" * 10), 0.2 + off, probes=4)
    for method, value in {"saycan-none": -0.03, "saycan-oracle": 0.3, "random": -0.4, "optimal": OPTIMUM}.items():
        make_run(folder / method, method, 0, steps=0, task=task, after=value)
    return folder
