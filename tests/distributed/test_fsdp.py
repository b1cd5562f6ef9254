"""``trainer=fsdp``, for real: two processes that share a run do what one process does, and end together."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from checkout import ROOT, TIMING, Finished, environment, run
from fsdp_commands import IN_CI, TWO, assert_failed, assert_no_process_is_left, failing, failing_checkout
from fsdp_tools import LOSE_THE_LAST_UPDATE, TOLERANCE, assert_same_run, command, learned, table
from peft import PeftModel
from safetensors.torch import load_file

from twosome.distributed.config import FSDPConfig
from twosome.distributed.processes import RankInfo, rank_info
from twosome.errors import UserError
from twosome.language.loading import ModelConfig, load_language_model
from twosome.language.norms import word
from twosome.language.scorer import Scorer

BAD = {
    "trainer.devices=0": "trainer.devices=0: expected an integer above 0",
    "trainer.devices=6": "trainer.devices=6 trainer.num_nodes=1: expected at most ppo.num_envs=5 processes, an environment each; "
    "change one of them",
    "trainer.accelerator=cup": "trainer.accelerator=cup: expected one of cpu, gpu; did you mean trainer.accelerator=cpu?",
    "trainer.num_nodes=2": "trainer.num_nodes=2: expected to be started on every node, one process per device; use "
    "hydra/launcher=slurm, srun or torchrun (docs/scaling.md)",
    "trainer.timeout=0": "trainer.timeout=0.0: expected a number of seconds above 0",
    "trainer=cpu": "trainer.devices=2: expected 1; with trainer=fsdp processes share a run",
}
if not torch.cuda.is_available():
    BAD["trainer.accelerator=gpu"] = (
        "trainer.accelerator=gpu trainer.devices=2: PyTorch sees 0 CUDA devices; set fewer, or trainer.accelerator=cpu"
    )


def bad(word: str) -> list[str]:
    """A command with a bad option."""
    return command("bad", *(option for option in TWO if option.split("=")[0] != word.split("=")[0]), word)


@dataclass(frozen=True)
class Runs:
    """A checkout where commands have been run, and how each ended."""

    folder: Path
    finished: dict[str, Finished]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The same run by one process, by two, and the latter gone on with after its last update was lost; and what fails.

    All are started from one process, since to import the libraries takes most of the time.
    """
    folder = failing_checkout(tmp_path_factory.mktemp("fsdp"))
    (folder / "lose.py").write_text(LOSE_THE_LAST_UPDATE)
    commands = {"one": command("one"), "two": command("two", *TWO), "lose": ["lose.py", "two", "again", "alone"]}
    commands["from"] = command("from", *TWO, "init=one", "total_steps=80", "retention.drift=false", "retention.every=0")
    commands |= {"again": ["src/run.py", "resume=again"], "alone": ["src/run.py", "resume=alone", "trainer=cpu"]}
    finished = run(folder, [*commands.values(), failing(*IN_CI), *map(bad, BAD)])
    ended = dict(zip([*commands, "failing", *BAD], finished, strict=True))
    assert all(ended[name].code == 0 for name in commands), {name: ended[name].output for name in commands}
    return Runs(folder, ended)


@pytest.fixture
def folder(runs: Runs) -> Path:
    return runs.folder


@pytest.mark.parametrize("name", ["two", "alone"])
def test_two_processes_learn_what_one_learns(folder: Path, name: str) -> None:
    assert_same_run(folder / "one", folder / name)


def test_two_processes_start_from_the_weights_of_another_run(folder: Path) -> None:
    """Its evaluation before training is the other run's after training."""
    of = {name: json.loads((folder / name / "evaluation.json").read_text()) for name in ("one", "from")}
    after = [record["return_mean"] for record in of["one"] if record["when"] == "after"]
    assert [record["return_mean"] for record in of["from"] if record["when"] == "before"] == pytest.approx(after)
    recorded = json.loads((folder / "from" / "provenance.json").read_text())["init"]
    assert recorded["run"] == str(folder / "one")
    assert recorded["export_checksums"] == json.loads((folder / "one" / "provenance.json").read_text())["export_checksums"]


def test_two_processes_go_on_to_the_same_bytes(folder: Path) -> None:
    for file in ("episodes.csv", "evaluation.json", "retention.json", "retention.csv", "adapter/adapter_model.safetensors"):
        assert (folder / "again" / file).read_bytes() == (folder / "two" / file).read_bytes(), file
    rows = [table(folder / name / "metrics.csv") for name in ("two", "again")]
    for row in (row for each in rows for row in each):
        for name in TIMING:
            del row[name]
    assert rows[0] == rows[1]
    one, other = learned(folder / "two"), learned(folder / "again")
    assert all(torch.equal(weight, other[key]) for key, weight in one.items())


def test_only_the_first_process_writes_and_prints(folder: Path) -> None:
    one, two = ({path.relative_to(folder / name) for path in (folder / name).rglob("*")} for name in ("one", "two"))
    assert {path for path in one ^ two if "tfevents" not in path.name} == set()


def test_the_adapter_of_two_processes_is_anybodys(folder: Path) -> None:
    texts = [("You see a tomato. You should first", ("pick up the tomato", "go to the table")), ("Now", ("wait", "chop"))]
    config = ModelConfig(source="tiny_random", seed=3, device="cpu")
    policies = []
    for name in ("one", "two"):
        language = load_language_model(config)
        language.model = PeftModel.from_pretrained(language.model, folder / name / "adapter").eval()
        policies.append(Scorer(language, word).score(texts).log_policy())
    torch.testing.assert_close(policies[1], policies[0], rtol=0, atol=TOLERANCE)
    exported = load_file(folder / "two" / "adapter" / "adapter_model.safetensors")
    trained = [weight for key, weight in learned(folder / "two").items() if "lora" in key]
    assert len(exported) == len(trained)
    assert all(any(torch.equal(weight, other) for other in trained) for weight in exported.values())


def test_shared_work_is_that_of_one_process() -> None:
    paths = environment() | {"PYTHONPATH": str(ROOT / "src")}
    script = str(Path(__file__).parent / "pair.py")
    finished = subprocess.run([sys.executable, script], env=paths, capture_output=True, text=True, timeout=200)
    assert finished.returncode == 0, finished.stderr


def test_a_failure_of_one_process_ends_both(runs: Runs) -> None:
    assert_failed(runs.finished["failing"], *IN_CI)
    assert_no_process_is_left(runs.folder)


def test_bad_options_end_in_one_line(runs: Runs) -> None:
    for option, message in BAD.items():
        assert (runs.finished[option].code, runs.finished[option].output.strip()) == (2, f"error: {message}")
    assert not (runs.folder / "bad" / "config.yaml").exists()


def test_a_process_finds_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    config = FSDPConfig("cpu", 2, 2, "fsdp", 60)
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    slurm = {"PROCID": "3", "LOCALID": "1", "STEP_NUM_TASKS": "4", "STEP_NODELIST": "node[07-08]", "JOB_ID": "5", "STEP_ID": "1"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    found = rank_info(config)
    assert (found.rank, found.local_rank, found.world_size, found.address) == (3, 1, 4, "node07")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert rank_info(config).port == found.port > 0
    with pytest.raises(UserError, match="expected as many processes, 2, but 4 were started; change one of them"):
        rank_info(FSDPConfig("cpu", 2, 1, "fsdp", 60))
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert rank_info(FSDPConfig("cpu", 2, 1, "fsdp", 60)) == RankInfo(world_size=2)
    torchrun = {
        "TORCHELASTIC_RUN_ID": "x",
        "RANK": "2",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "4",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "9",
    }
    for name, value in torchrun.items():
        monkeypatch.setenv(name, value)
    assert rank_info(config) == RankInfo(2, 0, 4, "a", 9)
