"""Ctrl-C, SIGTERM and SIGHUP, in every command and phase: one line that says how to go on, 128 + the signal, and nothing left."""

import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT, Finished, at_work, checkout, run, started

from twosome import signals

RUN = ["src/run.py", "model=tiny_random", "total_steps=32", "ppo.num_envs=2", "ppo.num_steps=8", "ppo.value_update_epochs=1",
       "evaluation.episodes=1", "env.kwargs.max_primitive_steps=20", "retention.limit=1"]  # fmt: skip
SIGNALS = {signum.name: signum for signum in signals.SIGNALS}
EXPERIMENT = """# @package _global_
# python src/run.py -m experiment=tiny
defaults:
  - override /hydra/sweeper: grids
hydra:
  mode: MULTIRUN
  sweeper:
    grids:
      - {seed: [0, 1]}
"""
PHASES = {  # of a run: which call of which function the signal comes in
    "loading": ("twosome.parts:agent", 1),
    "before": ("twosome.evaluation.records:evaluate", 1),
    "rollout": ("twosome.training.module:LearningModule.collect", 2),
    "update": ("twosome.algorithms.ppo.ppo:update_policy", 2),
    "checkpoint": ("twosome.storage.checkpoints:AtomicIO.save_checkpoint", 2),
    "export": ("twosome.storage.folder:RunFolder.export", 1),
    "after": ("twosome.evaluation.records:evaluate", 2),
    "drift": ("twosome.evaluation.retention.report:measured", 1),
    "film": ("twosome.evaluation.video:record", 1),
}
COMMANDS = {
    "evaluate": ("twosome.evaluation.records:play", 1, "src/evaluate.py run=finished"),
    "probe": ("twosome.runs.probe:probe", 1, "src/probe.py model=tiny_random prompt=hello actions=[one,two]"),
    "benchmark": ("twosome.benchmark.benchmark:measured_round", 1, "src/benchmark.py model=tiny_random"),
    "curves": (
        "twosome.report.output:Folder.figure",
        2,
        f"analysis/curves.py {ROOT}/results/published/smollm2_135m --out out --bootstrap-samples 20",
    ),
}
SHORT = [*RUN[1:], "retention.drift=false", "evaluation.gif=false"]
UPDATE = "twosome.algorithms.ppo.ppo:update_policy"  # the fourth: the second run's second
SWEEPS = {
    "plain": ("SIGTERM", UPDATE, 4, ["src/run.py", "-m", *SHORT, "seed=0,1"]),
    "experiment": ("SIGHUP", UPDATE, 4, ["src/run.py", *SHORT, "experiment=tiny", "env.task=tomato_salad"]),
    "local": (
        "SIGINT",
        "submitit.core.core:Job.results",
        1,
        ["src/run.py", "-m", *SHORT, "seed=0,1", "hydra/launcher=submitit_local"],
    ),
}


def phase(name: str, signum: str, times: int = 1) -> list[str]:
    """A run that is interrupted."""
    place, nth = PHASES[name]
    return signalled(place, nth, signum, times, [*RUN, f"hydra.run.dir=runs/{name}-{signum}"])


def signalled(place: str, nth: int, signum: str, times: int, words: list[str]) -> list[str]:
    """A command that is interrupted; see signalled.py."""
    return [str(Path(__file__).with_name("signalled.py")), place, str(nth), str(SIGNALS[signum].value), str(times), *words]


def command(name: str, signum: str, times: int = 1) -> list[str]:
    place, nth, words = COMMANDS[name]
    return signalled(place, nth, signum, times, words.split())


FIRST = {  # in CI
    ("phase", "loading"): ("SIGINT", 3),
    ("phase", "update"): ("SIGTERM", 1),
    ("phase", "checkpoint"): ("SIGHUP", 2),
    ("phase", "after"): ("SIGINT", 2),
    ("command", "evaluate"): ("SIGTERM", 2),
    ("command", "probe"): ("SIGHUP", 1),
    ("command", "benchmark"): ("SIGINT", 1),
}
MAKE = {"phase": phase, "command": command}
REST = [
    (kind, name, signum)
    for kind, names in {"phase": PHASES, "command": COMMANDS}.items()
    for name in names
    for signum in SIGNALS
    if FIRST.get((kind, name), ("", 0))[0] != signum
]


def remedy(finished: Finished, signum: str) -> str:
    """How to go on, from the last line, which is the only one about the signal."""
    assert finished.code == 128 + SIGNALS[signum], finished.output
    lines = [line for line in finished.output.splitlines() if "interrupted" in line]
    assert lines == finished.output.splitlines()[-1:]
    for traceback in ("Traceback", "Exception ignored", "nothing was interrupted"):
        assert traceback not in finished.output
    start = f"interrupted by {signum}; "
    assert lines[0].startswith(start)
    return lines[0].removeprefix(start)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A checkout with an experiment."""
    folder = checkout(tmp_path_factory.mktemp("signals"))
    (folder / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture(scope="module")
def interrupted(folder) -> dict[tuple[str, str], Finished]:
    """How each command ended in that checkout."""
    commands = {key: MAKE[key[0]](key[1], *how) for key, how in FIRST.items()}
    commands |= {("sweep", name): signalled(place, nth, signum, 2, words) for name, (signum, place, nth, words) in SWEEPS.items()}
    finished = [*RUN, "baseline=random", "evaluation.gif=false", "hydra.run.dir=finished"]
    return dict(zip(commands, run(folder, [finished, *commands.values()])[1:], strict=True))


def assert_ended(folder: Path, kind: str, name: str, signum: str, finished: Finished) -> None:
    """The line, and that everything was closed."""
    hint = remedy(finished, signum)
    if kind == "command":
        assert hint == "repeat the command"
        assert finished.output.count("\n") == 1
        return
    place = folder / "runs" / f"{name}-{signum}"
    if name == "loading":
        assert hint == "nothing was written yet; repeat the command"
        assert not place.exists()
    else:
        assert hint == f"go on with: {sys.executable} src/run.py resume={place}"
        assert not list(place.rglob(".*"))


@pytest.mark.parametrize(("kind", "name"), FIRST)
def test_a_signal_ends_every_phase_and_command(folder, interrupted, kind, name):
    assert_ended(folder, kind, name, FIRST[kind, name][0], interrupted[kind, name])


@pytest.mark.slow
def test_every_signal_ends_every_phase_and_command(folder, interrupted):
    for (kind, name, signum), finished in zip(
        REST, run(folder, [MAKE[kind](name, signum, 3) for kind, name, signum in REST], 1_500), strict=True
    ):
        assert_ended(folder, kind, name, signum, finished)


def test_nothing_goes_on(folder, interrupted):
    until = time.monotonic() + 5
    while left := at_work(folder):
        assert time.monotonic() < until, left
        time.sleep(0.05)


def words(name: str, interrupted: dict[tuple[str, str], Finished]) -> list[str]:
    """What a sweep said to go on with."""
    hint = remedy(interrupted["sweep", name], SWEEPS[name][0])
    assert hint.startswith("go on with: ")
    return shlex.split(hint.removeprefix("go on with: "))


@pytest.fixture(scope="module")
def gone_on(folder, interrupted) -> dict[str, Finished]:
    """The sweeps, gone on with as they said."""
    (sweep,) = (path for path in folder.glob("multirun/*/*") if (path / "1" / "metrics.csv").exists())
    for name in ("0/provenance.json", "1/metrics.csv"):
        (folder / name.replace("/", "-")).write_bytes((sweep / name).read_bytes())
    commands = {name: words(name, interrupted)[1:] for name in SWEEPS if name != "local"}
    return dict(zip(commands, run(folder, list(commands.values())), strict=True))


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_says_how_to_go_on_with_all_of_it(interrupted, name):
    python, *asked = words(name, interrupted)
    given = SWEEPS[name][-1]
    assert python == sys.executable
    assert sorted(word for word in asked if not word.startswith("hydra.sweep.dir=")) == sorted(given)
    more = " ".join(word for word in asked if word not in given)
    assert re.fullmatch("" if name == "experiment" else r"hydra\.sweep\.dir=multirun/[\d-]+/[\d-]+", more)


def test_a_sweep_goes_on_where_it_was(folder, gone_on):
    assert gone_on["plain"].code == 0, gone_on["plain"].output
    (sweep,) = {path.parents[1] for path in folder.glob("multirun/*/*/*/DONE")}
    assert f"{sweep}/0: finished already" in gone_on["plain"].output
    assert (sweep / "0" / "provenance.json").read_bytes() == (folder / "0-provenance.json").read_bytes()
    before = (folder / "1-metrics.csv").read_bytes()
    assert before.count(b"\n") == 2
    assert (sweep / "1" / "metrics.csv").read_bytes().startswith(before)  # with its times: the first update was not repeated


def test_an_experiment_goes_on_where_it_was(gone_on):
    assert gone_on["experiment"].code == 0, gone_on["experiment"].output
    assert "2 runs: 0 trained, 1 resumed, 0 failed, 1 finished before" in gone_on["experiment"].output


# from the first line on


def handles(process: subprocess.Popen) -> bool:
    """Whether Python has come to our first lines: it has a handler of SIGTERM."""
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return bool(caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def at_start_up(words: list[str], folder: Path, signum: str, times: int, delay: float) -> Finished:
    """A script that is interrupted so many seconds after its first lines."""
    options = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with started([sys.executable, str(ROOT / words[0]), *words[1:]], **options) as process:
        while not handles(process):
            time.sleep(0.001)
        time.sleep(delay)
        for _ in range(times):
            process.send_signal(SIGNALS[signum])
            time.sleep(0.02)
        output, _ = process.communicate(timeout=30)
    return Finished(process.returncode, output)


LASTING = {  # minutes
    "run": [*RUN, "total_steps=1_000_000", "hydra.run.dir=run"],
    "sweep": [RUN[0], "-m", *RUN[1:], "total_steps=1_000_000", "seed=0,1", "hydra.sweep.dir=sweep"],
    "evaluate": ["src/evaluate.py", "run=finished", "episodes=1_000_000"],
    "probe": ["src/probe.py", "prompt=hello", f"actions=[{','.join(f'action {n}' for n in range(2_000))}]"],
    "benchmark": ["src/benchmark.py"],
    "curves": ["analysis/curves.py", f"{ROOT}/results/published/smollm2_135m", "--out", "out", "--bootstrap-samples", "1000000"],
}


@pytest.mark.parametrize(
    ("name", "signum", "times"),
    [("run", "SIGINT", 3), ("evaluate", "SIGTERM", 1), ("probe", "SIGINT", 2), ("curves", "SIGHUP", 1)],
)
def test_a_signal_at_start_up_is_one_line(tmp_path, name, signum, times):
    finished = at_start_up(LASTING[name], tmp_path, signum, times, random.random() / 2)
    assert remedy(finished, signum) == "repeat the command"
    assert finished.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("name", LASTING)
def test_a_signal_at_any_moment_is_one_line(folder, interrupted, name, signum):
    moments = random.Random(f"{name} {signum}")
    for _ in range(4):
        delay = moments.random() * 5
        print(f"{delay:.3f}")
        remedy(at_start_up(LASTING[name], folder, signum, moments.randint(1, 3), delay), signum)
