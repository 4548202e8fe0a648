"""A small Hugging Face Hub on the loopback interface: data set repositories, in memory, with faults on demand.

It speaks what the client library uses for `create_repo`, `upload_folder`, `create_commit`, `dataset_info`,
`list_repo_refs`, `get_repo_discussions` and for reading with `datasets.load_dataset`. Standard library only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_loopbackSecret0123456789"
GIT_ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"
_REPOSITORY = re.compile(r"^/api/datasets/([^/]+/[^/]+)(?:/(.*))?$")
_BATCH = re.compile(r"^/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch$")
_RESOLVE = re.compile(r"^/datasets/([^/]+/[^/]+)/resolve/((?:refs/pr/)?[^/]+)/(.+)$")


@dataclass
class Repository:
    """Commits (each a whole tree), and the names that point at them."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # titles of the pull requests

    def commit(self, branch: str, files: Mapping[str, bytes]) -> str:
        """Makes `files` the tree of a branch."""
        parent = self.branches.get(branch, "")
        oid = hashlib.sha1(f"{len(self.commits)} {branch} {parent} {sorted(files)}".encode()).hexdigest()
        self.commits[oid] = dict(files)
        self.branches[branch] = oid
        return oid

    def find(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a hash names."""
        named = self.branches.get(revision) or self.tags.get(revision)
        return named or next((oid for oid in self.commits if len(revision) > 6 and oid.startswith(revision)), None)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """The tree of a revision."""
        return self.commits[self.find(revision) or ""]


@dataclass
class Fault:
    """What happens to requests that match, instead of (or after) the right thing.

    Attributes:
        method, path: of the request (an empty method is any); `path` is a regular expression.
        status: answered with `headers` and `body`, the request not being looked at.
        cut_after: bytes of the request's body after which the connection is cut.
        pause_s: between two bytes of the answer.
        lose_answer: the request is served, and the connection cut before the answer.
        after, times: how many matching requests go well first, and how many then go wrong.
    """

    method: str
    path: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes = "{}"
    pause_s: float = 0.0
    cut_after: int | None = None
    lose_answer: bool = False
    after: int = 0
    times: int = 10**6


@dataclass(frozen=True)
class Request:
    """One request that came in."""

    method: str
    path: str
    query: str
    size: int
    authorised: bool


class _CutError(Exception):
    """The connection ends here."""


class FakeHub:
    """The state behind the server."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """An empty Hub without faults."""
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}  # large files by sha256
        self.puts: list[str] = []  # sha256 of every large file that arrived whole
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.tokens = {TOKEN}
        self.owners = {"me"}
        self.control: Callable[[str], Any] | None = None  # for a client that sets the faults itself
        self.lock = threading.RLock()

    def repository(self, name: str, files: Mapping[str, bytes] | None = None, private: bool = False) -> Repository:
        """Makes a repository."""
        made = Repository(private=private)
        made.commit("main", {".gitattributes": GIT_ATTRIBUTES, **(files or {})})
        self.repositories[name] = made
        return made

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault that meets a request, if any."""
        with self.lock:
            for fault in self.faults:
                if fault.method in ("", method) and re.search(fault.path, path):
                    if fault.after:
                        fault.after -= 1
                    elif fault.times:
                        fault.times -= 1
                        return fault
        return None


@contextmanager
def running() -> Iterator[FakeHub]:
    """A server on a free port of 127.0.0.1."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece: no waiting for acknowledgements in between
    hub: FakeHub

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _any(self) -> None:
        url = urllib.parse.urlparse(self.path)
        path = urllib.parse.unquote(url.path)
        if self.hub.control and path.startswith("/control/"):
            self._answer(*_json(self.hub.control(path)))
            return
        fault = self.hub.fault(self.command, path)
        try:
            body = self._body(fault.cut_after if fault else None)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            request = Request(self.command, path, url.query, len(body), token in self.hub.tokens)
            with self.hub.lock:
                self.hub.requests.append(request)
                if fault and fault.status and not fault.pause_s:
                    said = fault.body.encode() if isinstance(fault.body, str) else fault.body
                    self._answer(fault.status, fault.headers, said)
                    return
                answer = self._serve(request, body, token)
            if fault and fault.pause_s:
                self._drip(fault.pause_s)
            if fault and fault.lose_answer:
                raise _CutError
            self._answer(*answer)
        except (_CutError, OSError):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = _any  # noqa: N815  (names of the standard library)

    def _body(self, cut_after: int | None) -> bytes:
        if cut_after is not None:
            self.rfile.read(cut_after)
            raise _CutError
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _drip(self, pause_s: float) -> None:
        """A head without an end, a byte at a time."""
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(pause_s)
        raise _CutError

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # ------------------------------------------------------------------------------------------ routes
    def _serve(self, request: Request, body: bytes, token: str) -> Answer:
        path = request.path
        if path.startswith("/storage/") and request.method == "PUT":
            return self._put(path.rpartition("/")[2], body)
        if path.startswith("/storage/"):  # what large files are redirected to: no token is welcome here
            return _error(400, "a token was sent to the storage") if token else self._ranged(path.split("/")[2])
        if token and not request.authorised:
            return _error(401, "Invalid credentials in Authorization header", "")
        if path == "/verify":
            blob = self.hub.blobs.get(json.loads(body)["oid"])
            return _json({}) if blob is not None else _error(404, "no such object")
        if path == "/api/validate-yaml":
            text = json.loads(body)["content"]
            problems = [] if text.startswith("---\n") else [{"message": "no metadata"}]
            return _json({"errors": problems, "warnings": []}, 400 if problems else 200)
        if path == "/api/repos/create":
            return self._create(request, json.loads(body))
        if found := _BATCH.match(path):
            # Whoever may propose a change may store its files.
            refusal = None if request.authorised else _error(401, "Invalid username or password.")
            return refusal or self._repository(found[1], request) or self._batch(json.loads(body))
        if found := _RESOLVE.match(path):
            return self._repository(found[1], request) or self._resolve(found[1], found[2], found[3])
        if found := _REPOSITORY.match(path):
            write = request.method == "POST" and not (found[2] or "").startswith("paths-info/")
            refusal = self._repository(found[1], request, write=write)
            return refusal or self._about(found[1], found[2] or "", request, body)
        return _error(404, "not here")

    def _repository(self, name: str, request: Request, write: bool = False) -> Answer | None:
        """A refusal, where the repository is not there or not for this caller."""
        repository = self.hub.repositories.get(name)
        proposal = "create_pr" in request.query or "refs/pr/" in request.path
        if repository is None or (repository.private and not request.authorised):
            return _error(404 if request.authorised else 401, "Repository not found", "RepoNotFound")
        if write and not request.authorised:
            return _error(401, "Invalid username or password.", "")
        if write and name.split("/")[0] not in self.hub.owners and not proposal:
            return _error(403, "You don't have the rights to write here")
        return None

    def _create(self, request: Request, asked: Mapping[str, Any]) -> Answer:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = {"url": f"{self.hub.url}/datasets/{name}"}
        if not request.authorised:
            return _error(401, "Invalid username or password.", "")
        if name.split("/")[0] not in self.hub.owners:
            return _error(
                403, f"You don't have the rights to create a dataset under the namespace {name.split('/')[0]}"
            )
        if name in self.hub.repositories:
            return _json({"error": "You already created this dataset repo", **url}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repository(name, private=private)
        return _json({**url, "name": name})

    def _about(self, name: str, rest: str, request: Request, body: bytes) -> Answer:
        repository = self.hub.repositories[name]
        verb, _, tail = rest.partition("/")
        if verb == "refs":
            refs = {
                kind: [{"name": n, "ref": f"refs/{place}/{n}", "targetCommit": oid} for n, oid in found.items()]
                for kind, place, found in (
                    ("branches", "heads", repository.branches),
                    ("tags", "tags", repository.tags),
                )
            }
            return _json({**refs, "converts": []})
        if verb == "discussions":
            return self._discussions(name, repository)
        prefix = "refs/pr/" if tail.startswith("refs/pr/") else ""
        revision, _, below = tail.removeprefix(prefix).partition("/")
        revision = (prefix + revision) or "main"
        oid = repository.find(revision)
        if oid is None:
            return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if verb in ("", "revision"):
            return _json(
                {
                    "_id": "0",
                    "id": name,
                    "sha": oid,
                    "private": repository.private,
                    "gated": False,
                    "disabled": False,
                    "downloads": 0,
                    "likes": 0,
                    "tags": [],
                    "lastModified": "2026-01-01T00:00:00.000Z",
                    "createdAt": "2026-01-01T00:00:00.000Z",
                    "siblings": [{"rfilename": path} for path in repository.commits[oid]],
                }
            )
        if verb == "preupload":
            return _json(
                {"files": [_upload_mode(repository.commits[oid], one["path"]) for one in json.loads(body)["files"]]}
            )
        if verb == "commit":
            return self._commit(name, revision, request, body)
        if verb == "tree":
            query = urllib.parse.parse_qs(request.query)
            return _tree(repository.commits[oid], below, query.get("recursive", ["false"])[0].lower() == "true")
        return _error(404, "not here")

    def _discussions(self, name: str, repository: Repository) -> Answer:
        found = [
            {
                "title": title,
                "num": i + 1,
                "author": {"name": "me"},
                "createdAt": "2026-01-01T00:00:00.000Z",
                "status": "open",
                "isPullRequest": True,
                "repo": {"name": name, "type": "dataset"},
            }
            for i, title in enumerate(repository.requests)
        ]
        return _json({"discussions": found, "count": len(found), "start": 0, "numClosedDiscussions": 0})

    def _batch(self, asked: Mapping[str, Any]) -> Answer:
        objects = []
        for one in asked["objects"]:
            put = {"href": f"{self.hub.url}/storage/{one['oid']}", "header": {}}
            actions = {"upload": put, "verify": {"href": f"{self.hub.url}/verify", "header": {}}}
            objects.append({**one, **({} if one["oid"] in self.hub.blobs else {"actions": actions})})
        return _json({"transfer": "basic", "objects": objects})

    def _put(self, oid: str, body: bytes) -> Answer:
        if hashlib.sha256(body).hexdigest() != oid:
            return _error(400, "the content is not what was announced")
        self.hub.puts.append(oid)
        self.hub.blobs[oid] = body
        return _json({})

    def _commit(self, name: str, revision: str, request: Request, body: bytes) -> Answer:
        repository = self.hub.repositories[name]
        files = dict(repository.files(revision))
        title = ""
        for line in body.splitlines():
            key, value = (one := json.loads(line))["key"], one["value"]
            if key == "header":
                title = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    return _error(400, "LFS pointer pointed to a file that does not exist")
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif files.pop(value["path"], None) is None:
                return _error(404, "A file with this name doesn't exist", "EntryNotFound")
        said: dict[str, Any] = {"success": True, "hookOutput": ""}
        if "create_pr=1" in request.query:
            repository.requests.append(title)
            number = len(repository.requests)
            said["pullRequestUrl"] = f"{self.hub.url}/datasets/{name}/discussions/{number}"
            revision = f"refs/pr/{number}"
        oid = repository.commit(revision, files)
        return _json({**said, "commitOid": oid, "commitUrl": f"{self.hub.url}/datasets/{name}/commit/{oid}"})

    def _resolve(self, name: str, revision: str, path: str) -> Answer:
        oid = self.hub.repositories[name].find(revision)
        if oid is None:
            return _error(404, "no such revision", "RevisionNotFound")
        data = self.hub.repositories[name].commits[oid].get(path)
        if data is None:
            return _error(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": oid})
        if not _large(path):
            return self._ranged(data, {"X-Repo-Commit": oid, "ETag": f'"{_git_hash(data)}"'})
        digest = hashlib.sha256(data).hexdigest()
        self.hub.blobs.setdefault(digest, data)
        storage = f"{self.hub.url.replace('127.0.0.1', 'localhost')}/storage/{digest}"
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{digest}"', "X-Repo-Commit": oid}
        return 302, {**linked, "Location": storage}, b""

    def _ranged(self, what: bytes | str, headers: Mapping[str, str] | None = None) -> Answer:
        data = what if isinstance(what, bytes) else self.hub.blobs.get(what, b"")
        found = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        said = {"Accept-Ranges": "bytes", **(headers or {})}
        if found is None:
            return 200, said, data
        first, last = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
        if first > last:
            return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
        return 206, {**said, "Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1]


Answer = tuple[int, Mapping[str, str], bytes]


def _json(said: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(said).encode()


def _error(status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    said = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return status, {"Content-Type": "application/json", **said}, json.dumps({"error": message}).encode()


def _large(path: str) -> bool:
    return path.endswith((".parquet", ".gz"))


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _upload_mode(files: Mapping[str, bytes], path: str) -> dict[str, Any]:
    data = files.get(path)
    oid = None if data is None else hashlib.sha256(data).hexdigest() if _large(path) else _git_hash(data)
    return {"path": path, "uploadMode": "lfs" if _large(path) else "regular", "shouldIgnore": False, "oid": oid}


def _tree(files: Mapping[str, bytes], below: str, recursive: bool) -> Answer:
    found: dict[str, dict[str, Any]] = {}
    for path, data in files.items():
        if below and not path.startswith(f"{below}/"):
            continue
        parts = path[len(below) + 1 if below else 0 :].split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            folder = "/".join([*([below] if below else []), *parts[:depth]])
            found[folder] = {"type": "directory", "path": folder, "oid": _git_hash(folder.encode()), "size": 0}
        if recursive or len(parts) == 1:
            entry: dict[str, Any] = {"type": "file", "path": path, "oid": _git_hash(data), "size": len(data)}
            if _large(path):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            found[path] = entry
    if below and not found:
        return _error(404, f"{below} does not exist", "EntryNotFound")
    return _json(list(found.values()))
