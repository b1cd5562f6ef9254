"""make installs once, and again when a lock file changes; it says what is missing. Nothing real is installed here."""

import os
import re
import shutil
import subprocess
from importlib.metadata import requires, version

import pytest
import yaml
from checkout import ROOT, environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# A Python whose `-m venv` makes a .venv of its own kind, and which writes down whatever else it is asked.
FAKE = """#!/bin/sh
case "$*" in
  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/pip ;;
  *"$FAIL"*) exit 1 ;;
  *) echo "$*" >> calls ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """make, with the suite's Makefile and lock files: (targets and variables) -> exit code, new calls, stderr.

    said: return what it prints instead.
    """
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-nodeps.lock", "requirements-docs.lock"):
        shutil.copy2(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(FAKE)
    python.chmod(0o755)

    def call(*arguments, fail="nothing", said=False):
        calls = tmp_path / "calls"
        calls.write_text("")
        command = ["make", f"PYTHON={python}", *arguments]
        variables = environment() | {"FAIL": fail}
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
        return done.stdout if said else (done.returncode, calls.read_text().splitlines(), done.stderr)

    return call


TORCH = next(line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("torch=="))
EVERYTHING = [
    f"--no-deps {TORCH}",
    "-r requirements.lock",
    "--quiet --no-deps -r requirements-nodeps.lock",
    "--quiet --no-deps --no-build-isolation -e .",
]


def installs(calls):
    return [call.removeprefix("-m pip install --disable-pip-version-check ") for call in calls if "pip install" in call]


def test_demo_installs_everything_and_trains(make):
    code, calls, _ = make("demo")
    assert code == 0
    assert installs(calls) == EVERYTHING
    assert calls[-1] == "src/run.py experiment=demo"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-nodeps.lock", "pyproject.toml"])
def test_second_call_installs_only_what_changed(make, tmp_path, lock):
    make("install")
    assert make("install") == (0, [], "")
    later = (tmp_path / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(tmp_path / lock, (later, later))
    assert installs(make("install")[1]) == EVERYTHING


def test_failed_installation_is_taken_up_again(make):
    code, calls, _ = make("test", fail="--no-deps")
    assert code == 2
    assert not any("pytest" in call for call in calls)
    assert installs(make("test")[1]) == EVERYTHING


def test_failing_tests_fail_make(make):
    assert make("test", fail="-m pytest")[0] == 2


def test_without_python_one_line_says_so(make):
    code, _, stderr = make("install", "PYTHON=")
    assert code == 2
    assert stderr.startswith("error: no Python 3.11 or newer")
    assert len([line for line in stderr.splitlines() if not line.startswith("make")]) == 1


def test_help_lists_every_target():
    done = subprocess.run(["make"], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    text = (ROOT / "Makefile").read_text()
    targets = {name for line in re.findall(r"^([\w-][\w -]*):(?!=)", text, re.MULTILINE) for name in line.split()}
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert [line.split()[1] for line in done.stdout.splitlines()] == list(dict.fromkeys(phony.split()))
    assert targets == set(phony.split())
    assert all(len(line.split()) > 3 for line in done.stdout.splitlines())


def test_the_manual_has_tools_of_its_own(make, tmp_path):
    assert make("docs")[0] == 0
    calls = make("test", "docs")[1]
    assert not installs(calls)  # once is enough
    assert calls[-1] == "-m mkdocs build --strict --quiet"
    shutil.rmtree(tmp_path / ".venv")
    assert installs(make("docs")[1]) == [*EVERYTHING, "--quiet --no-deps -r requirements-docs.lock"]
    shutil.rmtree(tmp_path / ".venv")
    assert installs(make("install")[1]) == EVERYTHING


def test_installing_says_what_is_large(tmp_path):
    """Of pip's hundreds of lines a few are left."""
    lines = [
        "Collecting absl-py==2.5.1 (from -r requirements.lock (line 2))",
        "  Downloading absl_py-2.5.1-py3-none-any.whl (135 kB)",
        "  Downloading https://host/packages/ab/pyarrow-26.0.1-cp311-cp311-manylinux_2_28_x86_64.whl (48.3 MB)",
        "Downloading nvidia_cublas-13.0-py3-none-manylinux_2_27_x86_64.whl (1.2 GB)",
        "  Downloading pandas-3.1.1-cp311.whl (9.8 MB)",
        "Installing collected packages: absl-py, pyarrow",
    ]
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text() + "\nfiltered:\n\t@cat lines | $(LARGE)\n")
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    done = subprocess.run(["make", "filtered"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "  pyarrow-26.0.1-cp311-cp311-manylinux_2_28_x86_64.whl (48.3 MB)",
        "  nvidia_cublas-13.0-py3-none-manylinux_2_27_x86_64.whl (1.2 GB)",
        "  installing: about a minute",
    ]


def test_the_demo_says_first_what_it_will_do(make):
    make("install")
    said = make("demo", said=True)
    config = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text())
    demo = yaml.safe_load((ROOT / "experiments" / "demo.yaml").read_text())
    assert f"{demo['total_steps']:,} decisions" in said
    assert f"{2 * config['evaluation']['episodes']} episodes" in said
    assert "under ten minutes" in said.splitlines()[0]


@pytest.mark.parametrize("fail", ["nothing", "install", "test", "lint", "docs", "reproduce"])
def test_ci_makes_everything_and_fails_with_any_of_it(fail, tmp_path):
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for name, text in {
        ".ci/run": (ROOT / ".ci" / "run").read_text(),
        "bin/make": '#!/bin/sh\nfor t; do echo "made $t"; echo $t >> calls; test $t != "$FAIL" || exit 2; done\n',
        ".venv/bin/python": "#!/bin/sh\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    variables = environment() | {"FAIL": fail, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) == (fail == "nothing")
    if fail in ("nothing", "reproduce"):
        assert sorted((tmp_path / "calls").read_text().split()) == ["docs", "install", "lint", "reproduce", "test"]
        assert done.stdout.splitlines() == [f"made {target}" for target in ("install", "test", "docs", "lint", "reproduce")]


def test_the_lock_is_complete():
    """Whatever a locked package needs on this machine is locked too, in a version that it accepts."""
    pins = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    installed = {canonicalize_name(pin.name): version(pin.name) for pin in pins}
    for pin in pins:
        assert pin.specifier.contains(installed[canonicalize_name(pin.name)], prereleases=True), f"{pin}: run make install"
        for need in map(Requirement, requires(pin.name) or []):
            wanted = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *pin.extras))
            if wanted and not need.name.startswith(("nvidia-", "cuda-", "triton")):  # which only PyTorch's CUDA build needs
                found = installed.get(canonicalize_name(need.name))
                assert found, f"{pin} needs {need}"
                assert need.specifier.contains(found, prereleases=True), f"{pin} needs {need}, not {found}"
