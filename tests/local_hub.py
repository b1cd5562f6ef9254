"""A hub like huggingface.co on this machine, for huggingface_hub's own client: downloads and uploads of files."""

import base64
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

    As on the hub, anyone may list the files of an owner called "gated", but only TOKEN gets them, and only TOKEN may write.
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
        parts = self.path.partition("?")[0].strip("/").removeprefix("api/models/").split("/")
        owner, name, kind, _, *file = parts if len(parts) > 2 else [*parts, "revision", "main"]
        repository = self.folder / owner / name
        if not repository.is_dir():
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif kind != "resolve":
            self.answer(200, json.dumps(description(repository) if kind == "revision" else listing(repository)).encode())
        elif not (repository / file[0]).is_file():
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif owner == "gated" and self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
        else:
            content = (repository / file[0]).read_bytes()
            self.answer(200, content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer /api/repos/create, /api/validate-yaml and /api/models/<owner>/<name>/(preupload|commit)/<branch>."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path = self.path.partition("?")[0].strip("/")
        if path == "api/validate-yaml":
            self.reply({"errors": [], "warnings": []})
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(401, b"")
        elif path == "api/repos/create":
            asked = json.loads(body)
            self.reply({"url": self.url(f"{asked['organization']}/{asked['name']}")})
        else:
            owner, name, kind, _ = path.removeprefix("api/models/").split("/")
            (self.preupload if kind == "preupload" else self.commit)(body, self.folder / owner / name)

    def preupload(self, body: bytes, repository: Path) -> None:
        """Ask for all files within the commit: there is no store for large ones."""
        files = [file["path"] for file in json.loads(body)["files"]]
        self.reply({"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]})

    def commit(self, body: bytes, repository: Path) -> None:
        """Write the files of a commit."""
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                file = repository / line["value"]["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(base64.b64decode(line["value"]["content"]))
        name = f"{repository.parent.name}/{repository.name}"
        self.reply({"success": True, "commitOid": COMMIT, "commitUrl": f"{self.url(name)}/commit/{COMMIT}"})

    def url(self, name: str) -> str:
        """The page of a repository."""
        return f"http://{self.headers['Host']}/{name}"

    def reply(self, content: Any) -> None:
        self.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def answer(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
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
