"""How the ranks of one run end where one of them fails: process groups alone, without a run."""

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from twosome import signals
from twosome.distributed.config import FSDPConfig
from twosome.distributed.processes import Processes, RankInfo, process_group
from twosome.errors import ContractError, RunError, UserError

TIMEOUT = 2.0
ENDED = 7


def both(folder: Path, work: Callable[[Processes], object]) -> list[tuple[int, str]]:
    """Fork two ranks that work; return each one's exit code and what it printed or raised. Rank 1 has a temporary folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scratch = folder / "scratch"
    (scratch / "checkpoints").mkdir(parents=True)
    children = []
    for rank in range(2):
        if not (pid := os.fork()):
            os.dup2(os.open(folder / f"output-{rank}", os.O_CREAT | os.O_WRONLY), 2)
            sys.stderr = sys.__stderr__  # not pytest's
            try:
                info = RankInfo(rank, rank, 2, port=port)
                with process_group(FSDPConfig("cpu", 2, 1, "fsdp", TIMEOUT), info, scratch if rank else None) as processes:
                    work(processes)
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}".encode())
                os._exit(ENDED)
            os._exit(0)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    return [(code, (folder / f"output-{rank}").read_text()) for rank, code in enumerate(codes)]


def test_a_rank_that_hangs_is_one_line_and_is_ended(tmp_path: Path) -> None:
    def work(processes: Processes) -> None:
        if processes.rank == 1:
            time.sleep(100)
        processes.all_gather_object(1)

    (code, said), (other, _) = both(tmp_path, work)
    assert (code, other) == (ENDED, 1)
    assert said.startswith("LostProcess: no answer from another process within trainer.timeout=2 seconds, or it is gone (")
    assert said.endswith("); look at what it does, or set a longer trainer.timeout")
    assert "\n" not in said
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("error", [UserError, ContractError, RunError])
def test_rank_0_raises_what_rank_1_did(tmp_path: Path, error: type[Exception]) -> None:
    def work(processes: Processes) -> None:
        if processes.rank == 1:
            raise error("the soup is cold")
        processes.all_gather_object(1)

    (code, said), other = both(tmp_path, work)
    assert code == ENDED
    assert said == f"{error.__name__}: {'process 1: ' if error is RunError else ''}the soup is cold"
    assert other == (1 if error is RunError else 2, "")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("error", [UserError, ContractError])
def test_rank_0_ends_even_where_it_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    monkeypatch.setattr("twosome.distributed.failure.GRACE", {True: 0.5, False: 0.5})
    signals.set_hint(lambda: "go on with: run.py resume=there", instead=True)

    def work(processes: Processes) -> None:
        if processes.rank == 1:
            raise error("the soup is cold")
        time.sleep(100)

    found, _ = both(tmp_path, work)
    hint = "; then go on with: run.py resume=there" if error is ContractError else ""
    assert found == (2, f"error: process 1: the soup is cold{hint}\n")


def test_a_rank_that_fails_by_a_fault_of_its_code_shows_where(tmp_path: Path) -> None:
    def work(processes: Processes) -> None:
        if processes.rank == 1:
            raise ZeroDivisionError("the soup is divided")
        processes.all_gather_object(1)

    (_, said), (code, shown) = both(tmp_path, work)
    assert said == "RunError: process 1: ZeroDivisionError: the soup is divided"
    assert (code, shown.splitlines()[0]) == (1, "Traceback (most recent call last):")
