"""A hub like huggingface.co on this machine, for huggingface_hub's own client: as much of its protocol as a download takes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "c0ffee" * 6 + "c0ff"
TOKEN = "hf_let_me_in"


@contextmanager
def local_hub(folder: Path) -> Iterator[str]:
    """Serve the repositories owner/name that lie in folder; gives the address for HF_ENDPOINT.

    As on the hub, anyone may list the files of an owner called "gated", but only TOKEN gets them.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, folder))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers /api/models/<owner>/<name>/(revision|tree)/<commit> and /<owner>/<name>/resolve/<commit>/<file>."""

    def __init__(self, folder: Path, *arguments: Any) -> None:
        self.folder = folder
        super().__init__(*arguments)

    def do_GET(self) -> None:
        owner, name, kind, _, *file = self.path.partition("?")[0].strip("/").removeprefix("api/models/").split("/")
        repository = self.folder / owner / name
        if not repository.is_dir():
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif kind != "resolve":
            self.answer(200, json.dumps(description(repository) if kind == "revision" else listing(repository)).encode())
        elif owner == "gated" and self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
        else:
            content = (repository / file[0]).read_bytes()
            self.answer(200, content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET

    def answer(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing to standard error."""


def description(repository: Path) -> dict[str, Any]:
    siblings = [{"rfilename": file.name} for file in repository.iterdir()]
    return {"id": f"{repository.parent.name}/{repository.name}", "sha": COMMIT, "siblings": siblings}


def listing(repository: Path) -> list[dict[str, Any]]:
    contents = {file.name: file.read_bytes() for file in repository.iterdir()}
    return [{"type": "file", "path": name, "size": len(each), "oid": digest(each)} for name, each in contents.items()]


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
