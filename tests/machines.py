"""Machines for tests: each has a name, a network address and processes of its own, and this machine's disks and processors.

A machine is a set of Linux namespaces, so that nothing changes outside of them, and needs root. Its first process holds it: when
that is killed, all its processes are. The first machine has the switch that joins the others.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

TOOLS = ("ip", "nsenter", "setpriv", "unshare")
NAMESPACES = ("--net", "--uts", "--mount", "--pid")
FIRST = "sleep infinity & wait"  # the shell takes over processes whose parents have ended


def possible() -> bool:
    """Return whether machines can be made here."""
    if os.geteuid() != 0 or not all(map(shutil.which, TOOLS)):
        return False
    return subprocess.run(["unshare", *NAMESPACES[:2], "true"], capture_output=True).returncode == 0


class Machines(ExitStack):
    """Machines that exist within the ``with`` block, however it ends."""

    def __init__(self, folder: Path, *names: str) -> None:
        super().__init__()
        self.addresses = {name: f"10.1.1.{number}" for number, name in enumerate(names, start=1)}
        self.switch = names[0]
        self.holders: dict[str, subprocess.Popen[bytes]] = {}
        self.first: dict[str, int] = {}
        self.hosts = folder / "hosts"

    def __enter__(self) -> "Machines":
        super().__enter__()
        known = {"localhost": "127.0.0.1"} | self.addresses
        self.hosts.write_text("".join(f"{address} {name}\n" for name, address in known.items()))
        try:
            for name in self.addresses:
                self.boot(name)
        except BaseException:
            self.close()
            raise
        return self

    def on(self, name: str, *words: str, folder: Path | None = None) -> list[str]:
        """Return the words that run a command on a machine, in a folder."""
        place = [f"--wd={folder}"] if folder else []
        return ["nsenter", f"--target={self.first[name]}", *NAMESPACES, *place, *words]

    def boot(self, name: str) -> None:
        """Begin a machine and join it to the switch."""
        options = (*NAMESPACES, "--fork", "--kill-child", "--mount-proc")
        holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *options, "sh", "-c", FIRST], stderr=subprocess.DEVNULL
        )
        self.callback(holder.wait)
        self.callback(holder.kill)
        self.holders[name], self.first[name] = holder, _first_process(holder)
        self._do(name, "hostname", name)
        self._do(name, "mount", "--bind", str(self.hosts), "/etc/hosts")
        self._do(name, "ip", "link", "set", "lo", "up")
        wire = name
        if name == self.switch:
            self._do(name, "ip", "link", "add", wire, "type", "bridge")
        else:
            network = ["nsenter", f"--target={self.first[self.switch]}", "--net"]  # alone: the process ids are ours
            peer = ["type", "veth", "peer", wire, "netns", str(self.first[name])]
            subprocess.run([*network, "ip", "link", "add", f"to-{name}", *peer], check=True)
            self._do(self.switch, "ip", "link", "set", f"to-{name}", "master", self.switch, "up")
        hardware = (
            f"02:00:00:00:00:{list(self.addresses).index(name):02x}"  # the same after a reboot, as others have it in their caches
        )
        self._do(name, "ip", "link", "set", wire, "address", hardware)
        self._do(name, "ip", "address", "add", f"{self.addresses[name]}/24", "dev", wire)
        self._do(name, "ip", "link", "set", wire, "up")

    def crash(self, name: str, unplugged: bool = False) -> None:
        """Kill all processes of a machine. unplugged: off the network, so that nobody is told that its connections have ended."""
        unplug = self.on(self.switch, "ip", "link", "delete", f"to-{name}")
        if unplugged:
            subprocess.run(unplug, check=True)
        os.kill(self.first.pop(name), signal.SIGKILL)
        self.holders.pop(name).wait(20)
        subprocess.run(unplug, stderr=subprocess.DEVNULL)

    def _do(self, name: str, *words: str) -> None:
        subprocess.run(self.on(name, *words), check=True)


def _first_process(holder: subprocess.Popen[bytes]) -> int:
    """Return the first process of a machine that `unshare` makes, as soon as it is there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text() == "sh\n":
            return int(children[0])
        assert holder.poll() is None, "this machine does not allow namespaces"
        time.sleep(0.02)
    raise TimeoutError("unshare has made no machine")
