"""A SLURM cluster for as long as a test lasts: one node, this machine, with its daemons on the loopback interface only.

Needs root and what ./install installs.
"""

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from checkout import environment

DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")
HOST = socket.gethostname().partition(".")[0]

# Requeued jobs wait for cred_expire seconds. linuxproc and none: no cgroups, no binding to cores. "hi" preempts "ci".
SLURM_CONF = """
ClusterName=ci
SlurmctldHost={host}({address})
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthInfo=socket={folder}/munge.sock,cred_expire=5
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge.sock
ReturnToService=2
SlurmdTimeout=300
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
{nodes}
PartitionName=ci Nodes=ALL Default=YES MaxTime=60 PriorityTier=1 GraceTime=15
PartitionName=hi Nodes=ALL MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""

DBD_CONF = """
DbdHost={host}
DbdAddr={address}
DbdPort={dbd_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CommunicationParameters=NoInAddrAny
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""


def installed() -> bool:
    """Whether the daemons are there and may be started."""
    return os.geteuid() == 0 and all(shutil.which(daemon) for daemon in DAEMONS)


class SlurmCluster(ExitStack):
    """Within its ``with`` block, SLURM's commands reach the cluster by the environment variables of ``environment``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> "SlurmCluster":
        super().__enter__()
        try:
            self._configure()
            self._start_all()
        except BaseException:
            self.close()
            raise
        return self

    def command(self, *words: str, check: bool = True) -> str:
        """What one of SLURM's commands answers."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, (words, done.stderr)
        return done.stdout

    def started(self, folder: Path, *words: str) -> subprocess.Popen[bytes]:
        """Start one of the suite's scripts in a folder, from where jobs can be submitted; it prints into the file ``output``."""
        with (folder / "output").open("w") as file:
            return subprocess.Popen(words, cwd=folder, env=self.environment | environment(), stdout=file, stderr=file)

    def _configure(self) -> None:
        ports = dict(zip(("ctld_port", "slurmd_port", "dbd_port", "sql_port"), _free_ports(4), strict=True))
        for name in ("state", "database", f"spool-{HOST}"):
            (self.folder / name).mkdir()
        nodes = f"NodeName={HOST} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4096"
        values = ports | {"folder": self.folder, "host": HOST, "address": "127.0.0.1", "nodes": nodes}
        for name, text, mode in (("slurm.conf", SLURM_CONF, 0o644), ("slurmdbd.conf", DBD_CONF, 0o600)):
            (self.folder / name).write_text(text.format(**values))
            (self.folder / name).chmod(mode)
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        user = "CREATE USER slurm@localhost IDENTIFIED BY 'slurm';\nGRANT ALL ON slurm.* TO slurm@localhost;\n"
        (self.folder / "users.sql").write_text(user)
        self.sql_port = ports["sql_port"]

    def _start_all(self) -> None:
        folder, database = self.folder, self.folder / "database"
        munge = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munge.pid", "seed-file": "seed", "log-file": "log"}
        self._start("munged", "--foreground", *(f"--{option}={folder / name}" for option, name in munge.items()))
        options = ("--no-defaults", "--user=root", f"--datadir={database}")
        subprocess.run(["mariadb-install-db", *options, "--skip-test-db"], check=True, capture_output=True)
        network = (
            "--bind-address=127.0.0.1",
            f"--port={self.sql_port}",
            f"--socket={folder}/sql.sock",
            f"--pid-file={folder}/sql",
        )
        self._start("mariadbd", *options, *network, f"--init-file={folder}/users.sql")
        self._wait("mariadb-admin", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1", f"--port={self.sql_port}",
                   "--user=slurm", "--password=slurm", "ping", answer="alive")  # fmt: skip
        self._start("slurmdbd", "-D")
        self._wait("sacctmgr", "--noheader", "show", "cluster")
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D", "-N", HOST)
        self._wait("sinfo", "--noheader", "--partition=ci", "--states=idle", "--format=%D", answer="1")
        self._wait("sacct", "--allocations")
        self.callback(self.command, "scancel", "--user=root", check=False)

    def _start(self, *words: str) -> None:
        """Start a daemon; it is stopped, and waited for, when this object is closed, and even if this process is killed."""
        log = self.enter_context((self.folder / f"{words[0]}.out").open("a"))
        process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *words], env=self.environment, stdout=log, stderr=log)
        self.callback(_stop, process)

    def _wait(self, *words: str, answer: str = "") -> None:
        """Until a command succeeds and says what is expected of it."""
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
            if done.returncode == 0 and answer in done.stdout:
                return
            assert time.monotonic() < deadline, (words, done.stdout, done.stderr)
            time.sleep(0.3)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
