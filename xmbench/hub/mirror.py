"""A data set repository of the Hub as the place of upstream files: `hf:OWNER/NAME@REVISION`.

Its files are checked like those of any other mirror, by size and sha256 (`fetch`), so it need not be trusted.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from xmbench.errors import UpstreamError
from xmbench.formats.recipe import FileSpec
from xmbench.hub.names import is_repository, is_revision, told
from xmbench.hub.token import stored_token, token_place

PREFIX = "hf:"
TIMEOUT_S = 30.0
_HASH = re.compile(r"[0-9a-f]{7,40}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


class HubMirror:
    """One revision of one repository. The Hub is contacted only when a file has to be fetched.

    Attributes:
        name: as the user wrote it, `hf:OWNER/NAME@REVISION`.
    """

    def __init__(self, name: str) -> None:
        repository, _, revision = name.removeprefix(PREFIX).partition("@")
        if not (name.startswith(PREFIX) and is_repository(repository) and is_revision(revision)):
            raise UpstreamError(
                "not a revision of a data set on the Hub",
                where=told(name),
                expected="--source hf:OWNER/NAME@REVISION, the revision being a commit or a tag",
                todo="the page of the repository lists its commits: take the newest one's hash",
            )
        self.name = name
        self._repository = repository
        self._revision = revision
        self._token: str | None = None
        self._commit = ""
        self._paths: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """For the manifest: the name, and the commit of a tag, once it is known."""
        tag = self._commit and self._commit != self._revision
        return f"{self.name}, commit {self._commit}" if tag else self.name

    def __str__(self) -> str:
        """As the user wrote it."""
        return self.name

    def urls(self, spec: FileSpec) -> tuple[str, ...]:
        """Addresses of a file of that name, plain and compressed, in any directory of the repository.

        Raises:
            UpstreamError: the repository or the revision cannot be read, or the revision is a branch.
        """
        if not self._commit:
            self._look()
        from huggingface_hub import constants

        root = f"{constants.ENDPOINT}/datasets/{self._repository}/resolve/{self._commit}"
        found = (self._path(name) for name in (spec.name, f"{spec.name}.gz"))
        return tuple(f"{root}/{quote(path)}" for path in found if path)

    def _path(self, name: str) -> str:
        """Path of a file in the repository: of several the least nested; empty if there is none."""
        paths = [path for path in self._paths if f"/{path}".endswith(f"/{name}")]
        return min(paths, key=lambda path: (path.count("/"), path), default="")

    def headers(self, url: str) -> dict[str, str]:
        """Headers of a request for `url`; not sent with requests that it is redirected to."""
        from huggingface_hub import constants

        own = self._token and url.startswith(f"{constants.ENDPOINT}/")
        return {"Authorization": f"Bearer {self._token}"} if own else {}

    def _look(self) -> None:
        """Asks the Hub for the commit of the revision, and for its files."""
        import httpx
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        from xmbench.hub.throttle import UNUSABLE, bounded, from_the_library

        self._token = stored_token()
        api = HfApi(token=self._token or False)
        try:
            with bounded(TIMEOUT_S):
                found = api.dataset_info(self._repository, revision=self._revision, timeout=TIMEOUT_S)
                commit, paths = found.sha, [file.rfilename for file in found.siblings or ()]
                if not (isinstance(commit, str) and _COMMIT.fullmatch(commit) and all(map(_is_path, paths))):
                    raise self._unusable("no commit, or invalid file names")
                if not (_HASH.fullmatch(self._revision) and commit.startswith(self._revision)):
                    refs = api.list_repo_refs(self._repository, repo_type="dataset")
                    self._refuse_branch(commit, [branch.name for branch in refs.branches])
        except OfflineModeIsEnabled as error:
            raise UpstreamError(
                "HF_HUB_OFFLINE forbids contacting the Hub", where=self.name, todo="unset it"
            ) from error
        except HfHubHTTPError as error:
            raise self._refused(error.response.status_code, error.response.headers.get("X-Error-Code", "")) from None
        except (httpx.HTTPError, OSError) as error:
            raise UpstreamError(
                f"the Hub cannot be reached ({told(str(error), self._token) or type(error).__name__})",
                where=self.name,
                todo="check the network, or give a local directory: --source DIR",
            ) from None
        except UNUSABLE as error:
            if not from_the_library(error):
                raise
            raise self._unusable(f"{type(error).__name__}: {error}") from None
        self._paths = tuple(paths)
        self._commit = commit

    def _unusable(self, why: str) -> UpstreamError:
        return UpstreamError(
            f"the Hub's answer cannot be used ({told(why, self._token)})",
            where=self.name,
            expected="the documented API of the Hugging Face Hub",
            todo="check HF_ENDPOINT and any proxy, or give a local directory: --source DIR",
        )

    def _refuse_branch(self, commit: str, branches: list[str]) -> None:
        if self._revision in branches:
            raise UpstreamError(
                f"'{self._revision}' is a branch, which moves",
                where=self.name,
                expected="a commit or a tag",
                todo=f"give its present commit: {PREFIX}{self._repository}@{commit}",
            )

    def _refused(self, status: int, code: str) -> UpstreamError:
        if status == 404 and code == "RevisionNotFound":
            return UpstreamError(
                "the repository has no such revision",
                where=self.name,
                expected="a commit or a tag of it",
                todo="the page of the repository lists its commits and tags",
            )
        if status in (401, 403, 404):
            known = f"sent: the token of {token_place()}" if self._token else "sent: no access token"
            return UpstreamError(
                f"no such data set on the Hub, or not one that you may read ({status})",
                where=self.name,
                problems=[known],
                expected="hf:OWNER/NAME@REVISION of a data set repository",
                todo="check the name; for a private or gated one, log in: `hf auth login`",
            )
        return UpstreamError(f"the Hub answered {status}", where=self.name, todo="run the same command again later")


def _is_path(name: object) -> bool:
    """Whether this is a valid file name of the Hub: it is put into an address, and shown."""
    return isinstance(name, str) and name.isprintable() and not any(part in ("", ".", "..") for part in name.split("/"))


def place_of(text: str | None) -> Path | HubMirror | None:
    """What `--source` names: a local directory, or a revision of a data set on the Hub; raises UpstreamError."""
    if text is None:
        return None
    return HubMirror(text) if text.startswith(PREFIX) else Path(text)
