"""A data set directory -> a data set repository of the Hugging Face Hub. The directory is the repository.

Pushed are card, manifest, ledger and shards; never judges, previews or an unfinished build. The Hub identifies files by
their content and does not receive them twice, so that the same command resumes an interrupted push.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, XetError

from xmbench.builder import card
from xmbench.errors import DatasetError, HubError
from xmbench.execution.progress import Progress
from xmbench.formats.dataset import Dataset
from xmbench.formats.layout import CARD_FILE, DATA_FOLDER, LEDGER_FILE, MANIFEST_FILE, SHARD_NAME, WORK_FOLDER
from xmbench.hub.names import is_repository, told
from xmbench.hub.throttle import ASKED_AGAIN, UNUSABLE, Refused, from_the_library, throttled
from xmbench.hub.token import redacted, stored_token, token_place

TRIES = 3
PAUSE_S = 1.0
_KIND = "dataset"
_ANYONES = {".gitattributes", CARD_FILE, "LICENSE", "LICENSE.txt", "LICENSE.md"}  # in repositories made by hand
_COMMIT_LENGTH = 40
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pushed:
    """The outcome of a push.

    Attributes:
        url: page of the repository, or of the pull request.
        commit: the commit that holds the data set.
        changed: whether anything had to be sent.
        files: names of its files in the repository.
        bytes: their total size.
    """

    url: str
    commit: str
    changed: bool
    files: tuple[str, ...]
    bytes: int


def push(
    dataset: Dataset,
    repository: str,
    *,
    private: bool = False,
    manifest_only: bool = False,
    create_pr: bool = False,
    progress: Progress,
    progress_bars: bool = False,
) -> Pushed:
    """Makes a repository hold exactly this data set; creates it if there is none.

    Args:
        dataset: a complete data set (`open_dataset`).
        repository: `OWNER/NAME`.
        private: create a private repository; refused where a public one exists.
        manifest_only: card, manifest and ledger without the media.
        create_pr: propose the change in a pull request, or continue the one that an earlier try opened.
        progress: called with one line at a time.
        progress_bars: let the client library show its own.

    Raises:
        DatasetError: files are missing.
        HubError: the licence of a source forbids it, or the Hub refuses or cannot be reached.
    """
    if not is_repository(repository):
        raise HubError("not the name of a repository", where=told(repository), expected="OWNER/NAME")
    files = _files(dataset, manifest_only)
    if not manifest_only:
        _refuse_media(dataset)
    token = _write_token()
    job = _Job(dataset, repository, token, progress)
    with throttled(progress, progress_bars=progress_bars), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        done = job.run(private, create_pr, files, card_text=_card_alone(dataset) if manifest_only else None)
    for text in dict.fromkeys(str(one.message) for one in said if "README.md" in str(one.message)):
        progress(told(text, token))
    return done


def _write_token() -> str:
    """The access token; raises HubError where the Hub must not be contacted or there is no token."""
    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE forbids contacting the Hub", todo="unset it and run the same command again")
    token = stored_token()
    if token is None:
        raise HubError(
            "no access token for the Hub",
            expected="a token with write access in HF_TOKEN, or a stored login",
            todo=f"create one at {constants.ENDPOINT}/settings/tokens, then run `hf auth login`",
        )
    return token


def _files(dataset: Dataset, manifest_only: bool) -> list[str]:
    """Names of the files to push.

    Raises:
        DatasetError: one is missing, or the manifest has an invalid shard name.
    """
    shards = [shard.path for shard in dataset.manifest.shards]
    names = [CARD_FILE, LEDGER_FILE, MANIFEST_FILE]
    problems = [f"{name}: missing" for name in names if not (dataset.folder / name).is_file()]
    problems += [f"{path}: not the name of a shard" for path in shards if not _is_shard(path)]
    if (dataset.folder / WORK_FOLDER).exists():
        problems.append(f"{WORK_FOLDER}: a build is running here, or was interrupted")
    if problems:
        raise DatasetError(
            "the data set is not complete",
            where=dataset.folder,
            problems=problems,
            todo="run the same `xmbench build` again: it writes the missing files",
        )
    return names if manifest_only else [*names, *shards]


def _is_shard(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == DATA_FOLDER and bool(SHARD_NAME.match(name))


def _refuse_media(dataset: Dataset) -> None:
    """Checks the licences: those of the recipe or of the manifest, whichever is stricter."""
    manifest = dataset.manifest
    problems = [
        f"{role}: {source.title} ({source.licence})"
        for role, source in manifest.recipe.sources.items()
        if not (source.redistributable and (role not in manifest.sources or manifest.sources[role].redistributable))
    ]
    if problems:
        raise HubError(
            f"the media of {len(problems)} source(s) may not be redistributed",
            where=dataset.folder,
            problems=problems,
            expected="sources whose licence allows redistribution",
            todo="push what others need to build the same set, without the media: add --manifest-only",
        )


def _card_alone(dataset: Dataset) -> str:
    return card.render(dataset, card.attributes_of(dataset), media=False)


class _Job:
    """One push: the steps in order, each retried while the Hub is busy."""

    def __init__(self, dataset: Dataset, repository: str, token: str, progress: Progress) -> None:
        self._dataset = dataset
        self._repository = repository
        self._token = token
        self._progress = progress
        self._api = HfApi(token=token)

    def run(self, private: bool, create_pr: bool, files: list[str], card_text: str | None) -> Pushed:
        """Creates the repository, lists its files, sends the missing ones."""
        api, name = self._api, self._repository
        # None, not False: an organisation may have private as its default.
        self._step(lambda: api.create_repo(name, repo_type=_KIND, private=private or None, exist_ok=True))
        before = self._step(lambda: api.dataset_info(name))
        if private and not before.private:
            raise HubError(
                "the repository exists, and it is public",
                where=name,
                expected="a private one",
                todo="change its visibility in its settings and run the same command again, or choose another name",
            )
        return self._step(lambda: self._bring(before.sha, create_pr, files, card_text))

    def _bring(self, before: str | None, create_pr: bool, files: list[str], card_text: str | None) -> Pushed:
        """Uploads what the Hub does not have; on a second try what the first left."""
        title = self._title(card_text is not None)
        request = self._open_request(title) if create_pr else None
        revision = None if request is None else f"refs/pr/{request}"
        if revision:
            self._progress(f"continuing the pull request {request} of an earlier try")
        now = self._api.dataset_info(self._repository, revision=revision)
        there = [file.rfilename for file in now.siblings or ()]
        if not all(isinstance(name, str) and name.isprintable() for name in there):
            raise self._unusable("invalid file names")
        self._refuse_foreign(there, files)
        done = self._send(files, card_text, there, title, revision, create_pr and revision is None)
        if not (isinstance(done.oid, str) and done.oid.isalnum() and len(done.oid) == _COMMIT_LENGTH):
            raise self._unusable("no commit")
        if done.pr_num is not None:
            request = done.pr_num
        page = f"{constants.ENDPOINT}/datasets/{self._repository}"
        size = sum((self._dataset.folder / name).stat().st_size for name in files)
        return Pushed(
            url=page if request is None else f"{page}/discussions/{request}",
            commit=done.oid,
            changed=done.oid != (now.sha if revision else before),
            files=tuple(files),
            bytes=size,
        )

    def _title(self, manifest_only: bool) -> str:
        recipe, part = self._dataset.recipe, " (manifest only)" if manifest_only else ""
        return f"{recipe.name} {recipe.version}, data set {self._dataset.digest[:16]}{part}"

    def _send(
        self, files: list[str], card_text: str | None, there: list[str], title: str, revision: str | None, new: bool
    ) -> CommitInfo:
        """Uploads what the Hub does not have, and removes shards that are not of this data set."""
        folder = self._dataset.folder
        chosen: dict[str, Any] = {"repo_type": _KIND, "commit_message": title, "revision": revision, "create_pr": new}
        if card_text is None:
            return self._api.upload_folder(
                repo_id=self._repository,
                folder_path=folder,
                allow_patterns=list(files),
                delete_patterns=[f"{DATA_FOLDER}/*"],
                **chosen,
            )
        content = {name: folder / name for name in files} | {CARD_FILE: card_text.encode()}
        added = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=what) for name, what in content.items()]
        stale = [CommitOperationDelete(path_in_repo=name) for name in there if name.startswith(f"{DATA_FOLDER}/")]
        return self._api.create_commit(self._repository, operations=[*added, *stale], **chosen)

    def _refuse_foreign(self, there: list[str], files: list[str]) -> None:
        """Raises HubError for a repository that holds other files than a pushed data set."""
        others = sorted(set(there) - _ANYONES - set(files))
        if others and MANIFEST_FILE not in there:
            raise HubError(
                "the repository holds files that were not pushed by xmbench",
                where=self._repository,
                problems=others,
                expected="a new or empty repository, or one of an earlier push",
                todo="choose another name",
            )

    def _open_request(self, title: str) -> int | None:
        """Number of the pull request that an earlier try of this push opened."""
        found = self._api.get_repo_discussions(
            self._repository, repo_type=_KIND, discussion_type="pull_request", discussion_status="open"
        )
        return next((one.num for one in found if one.title == title), None)

    # ------------------------------------------------------------------------------------------- trying
    def _step(self, work: Callable[[], T]) -> T:
        """Runs one step, with a few retries for a busy Hub or a lost connection.

        Raises:
            HubError: the Hub refuses, or stays busy.
        """
        for attempt in range(TRIES):
            try:
                return work()
            except HubError:
                raise
            except (httpx.HTTPError, XetError, OSError, RuntimeError, ValueError, *UNUSABLE) as error:
                last, again = self._met(_root(error))
            if not again or attempt == TRIES - 1:
                break
            pause = PAUSE_S * 2**attempt
            self._progress(f"{last.what}; retrying in {pause:.0f} s")
            time.sleep(pause)
        raise last from None

    def _met(self, error: Exception) -> tuple[HubError, bool]:
        """The meaning of an error of the library, and whether a retry may succeed."""
        if isinstance(error, HfHubHTTPError):
            return self._explained(error), error.response.status_code in ASKED_AGAIN
        if isinstance(error, httpx.TransportError | ConnectionError):
            return self._interrupted(error), True
        if isinstance(error, (*UNUSABLE, httpx.TooManyRedirects, httpx.DecodingError, RecursionError)):
            if not from_the_library(error):
                raise error
            return self._unusable(f"{type(error).__name__}: {error}"), False
        return self._failed(error), False

    def _interrupted(self, error: Exception) -> HubError:
        kept = "run the same command again: files that arrived completely are not sent again"
        if isinstance(error, Refused):
            return HubError(
                f"the Hub is busy ({error})", where=self._repository, todo=f"wait a few minutes, then {kept}"
            )
        reason = told(str(error), self._token) or type(error).__name__
        return HubError(f"the connection to the Hub was lost ({reason})", where=self._repository, todo=kept)

    def _unusable(self, why: str) -> HubError:
        return HubError(
            f"the Hub's answer cannot be used ({told(why, self._token)})",
            where=self._repository,
            expected="the documented API of the Hugging Face Hub",
            todo="check HF_ENDPOINT and any proxy, then run the same command again",
        )

    def _failed(self, error: Exception) -> HubError:
        said = redacted(str(error)[:10_000], self._token)
        lines = [told(line.strip("- ")) for line in said.splitlines() if line.strip()]
        return HubError(
            "the Hub did not accept the files",
            where=self._repository,
            problems=lines[:20],
            todo="run the same command again; if the message stays the same, fix its cause first",
        )

    def _explained(self, error: HfHubHTTPError) -> HubError:
        """The message of a refusal, with the next step."""
        status = error.response.status_code
        owner = self._repository.partition("/")[0]
        tokens = f"{constants.ENDPOINT}/settings/tokens"
        what, todo = {
            401: (
                f"the Hub does not know the access token of {token_place()} (401)",
                f"create a token with write access at {tokens}, then `hf auth login` or set HF_TOKEN",
            ),
            403: (
                "the access token may not write there (403)",
                f"use a token with write access to '{owner}' ({tokens}), or propose the change with --create-pr",
            ),
            404: ("no such repository, or not one that you may see (404)", "check OWNER/NAME"),
            409: ("another change to the repository is under way (409)", "run the same command again in a minute"),
            412: ("the repository changed during the push (412)", "run the same command again"),
        }.get(status, (f"the Hub refuses ({status})", "fix that, then run the same command again"))
        said = told(error.server_message or error.response.headers.get("X-Error-Message", ""), self._token)
        return HubError(what, where=self._repository, problems=[f"the Hub says: {said}"] if said else [], todo=todo)


def _root(error: Exception) -> Exception:
    """The cause of an error with a large file: the library wraps it."""
    cause = error.__cause__
    return cause if isinstance(error, RuntimeError) and isinstance(cause, httpx.HTTPError | OSError) else error
