"""Calling the commands of analysis/ in this process, and what they write."""

from importlib import import_module
from pathlib import Path

from twosome.report.statistics.axes import AXES

FEW = ["--bootstrap-samples", "50", "--window", "512"]
AGAINST = {
    axis.name: {
        f"curves{axis.suffix}.csv",
        *(f"curves_{name}{axis.suffix}.{kind}" for name in ("norms", "baselines") for kind in ("png", "pdf")),
    }
    for axis in AXES.values()
}
"""What curves.py writes, by the value of --against."""
WRITES = {
    "curves": AGAINST["env_steps"],
    "summary": {"summary.md", "summary.csv", "summary.tex"},
    "generalization": {
        f"{name}.{suffix}" for name in ("generalization", "transfer") for suffix in ("csv", "md", "tex", "pdf", "png")
    },
    "retention": {
        *(f"retention.{suffix}" for suffix in ("csv", "md", "tex", "pdf", "png")),
        *("drift.csv", "drift.md", "drift.tex", "forgetting.csv", "forgetting.pdf", "forgetting.png"),
    },
    "claims": {"claims.md", "claims.csv"},
}
WRITES["report"] = {"report.html", *set.union(*WRITES.values(), *AGAINST.values())}


def made(script: str, *words: object) -> dict[str, Path]:
    """What a command wrote, by name."""
    module = import_module(script)
    parser = module.parser()
    if script in ("curves", "summary", "claims", "report"):
        parser.set_defaults(bootstrap_samples=50, window=512)
    return {path.name: path for path in module.make(parser.parse_args(list(map(str, words))))}
