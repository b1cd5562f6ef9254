"""What happens in this process, by Python's audit events: files opened for writing, imports, processes, connections."""

import os
import sys
from contextlib import contextmanager

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
ACTS = {"os.system", "os.exec", "os.posix_spawn", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink",
        "os.truncate", "os.chmod", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "shutil.rmtree", "urllib.Request",
        "ctypes.dlopen", "pty.spawn", "os.putenv", "exec"}  # fmt: skip
seen: list[tuple[str, object]] | None = None  # what happens, while it is watched


def hook(event, arguments):
    """Python's audit hook: it cannot be taken away again, so it sees nothing while nobody watches."""
    if seen is None:
        return
    written = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if written or event == "import" or event in ACTS:
        seen.append((event, arguments[0]))


sys.addaudithook(hook)


@contextmanager
def watched():
    """Gives the list of the files opened for writing, the modules imported and the like inside."""
    global seen
    seen = found = []
    try:
        yield found
    finally:
        seen = None
