"""dvc repro does what is missing and nothing else, in every profile; nothing is trained here.

That its commands are good ones is shown by test_suite_runs. The stages are run by a stand-in for Python, which writes down what
it was asked and makes the stage's files from what they depend on; that the real commands make them is shown by `make reproduce`,
which .ci/run does.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from checkout import ROOT
from composing import PROFILES
from dvc.repo import Repo

FAKE = f"""#!{sys.executable}
import sys
from pathlib import Path

with open("calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
results = [word.partition("=")[2] for word in sys.argv if word.startswith("hydra.sweeper.results=")]
if results:
    Path(results[0]).mkdir(parents=True)
    Path(results[0], "config.yaml").write_text(" ".join(sys.argv))
else:
    out = Path(sys.argv[-1])
    content = "".join(file.read_text() for file in sorted(out.glob("*runs/*/*")))
    out.mkdir(exist_ok=True)
    for name in OUTS["glam_report" if out.name == "glam" else "report"]:
        (out / name).write_text(content)
"""


@pytest.fixture(scope="module")
def stages() -> dict:
    """The stages of dvc.yaml."""
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, stages) -> Path:
    """What DVC needs of a fresh clone, and the stand-in for Python."""
    clone = tmp_path_factory.mktemp("pipeline")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".dvc/config"):
        (clone / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, clone / name)
    shutil.copytree(ROOT / "experiments", clone / "experiments", symlinks=True)
    for name in ("analysis", "src/twosome/report"):
        (clone / name).mkdir(parents=True)
        (clone / name / "curves.py").write_text("")
    outs = {name: [Path(out).name for out in stages[name]["outs"]] for name in ("report", "glam_report")}
    (clone / "bin").mkdir()
    (clone / "bin" / "python").write_text(FAKE.replace("OUTS", repr(outs)))
    (clone / "bin" / "python").chmod(0o755)
    return clone


def repro(clone: Path) -> list[str]:
    """Do what `dvc repro` does; returns the commands that it ran."""
    calls = clone / "calls"
    calls.write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        patch.setenv("PATH", f"{clone / 'bin'}:{os.environ['PATH']}")
        patch.setenv("SHELL", "/bin/sh")
        with Repo() as repo:
            repo.reproduce()
    return calls.read_text().splitlines()


def change(path: Path, part: str, old: str, new: str) -> None:
    """Change a line in a part of a file."""
    head, mark, tail = path.read_text().partition(part)
    assert mark
    assert old in tail
    path.write_text(head + mark + tail.replace(old, new, 1))


def trained(calls: list[str]) -> list[str]:
    """The parts whose experiments were run."""
    return [Path(word).name for call in calls for word in call.split() if word.startswith("hydra.sweeper.results=")]


def test_everything_once_then_what_changed(clone, stages):
    params = yaml.safe_load((clone / "params.yaml").read_text())
    named = {name for part in ("ablations", "glam", "glam_ablations") for name in params[part]}
    parts = set(stages["train"]["foreach"]) | {f"{task}-unseen" for task in stages["unseen"]["foreach"]} | named
    calls = repro(clone)
    assert set(trained(calls)) == parts
    assert [call.split()[0] for call in calls].count("analysis/report.py") == 2
    assert len(calls) == len(parts) + 2
    assert repro(clone) == []

    change(clone / "params.yaml", "tomato_lettuce_salad:", "seed: 0", "seed: 0,1")
    calls = repro(clone)
    assert trained(calls) == ["tomato_lettuce_salad-language", "tomato_lettuce_salad-unseen"]
    assert all("seed=0,1" in call.split() for call in calls[:2])
    assert [call.split()[0] for call in calls[2:]] == ["analysis/report.py"]
    assert repro(clone) == []

    change(clone / "params.yaml", "tomato_salad:", "env: env.prompt=default", "env: env.kwargs.map=B")
    calls = repro(clone)
    assert sorted(trained(calls)) == [f"tomato_salad-{part}" for part in ("language", "others", "saycan", "unseen")]
    assert all("env.kwargs.map=B" in call for call in calls[:4])

    for part, name in (("\nablations:", "prompt"), ("\nglam:", "mixture"), ("\nglam_ablations:", "language")):
        change(clone / "params.yaml", part, "seed: 0", "seed: 0,1")
        calls = repro(clone)
        assert trained(calls) == [name]
        assert [call.split()[0] for call in calls[1:]] == ["analysis/report.py"]

    shutil.rmtree(clone / "results" / "smoke" / "runs" / "tomato_salad-others")
    assert trained(repro(clone)) in ([], ["tomato_salad-others"])  # DVC may have kept it
    assert (clone / "results" / "smoke" / "runs" / "tomato_salad-others").is_dir()


def test_profiles_have_the_same_parts():
    names = [yaml.safe_load((ROOT / path).with_name("params.yaml").read_text()) for path in PROFILES.values()]
    assert all(list(each) == list(names[0]) for each in names)
    assert [each["results"] for each in names] == [f"results/{profile}" for profile in PROFILES]
    for path in PROFILES.values():
        assert (ROOT / path).read_text() == (ROOT / "dvc.yaml").read_text()
