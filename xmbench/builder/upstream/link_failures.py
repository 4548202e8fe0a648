"""What a failed fetch of yt-dlp means: gone for good, worth another try, or a reason to stop asking.

yt-dlp passes on what a site says; there are no codes for it. Rules are tried in order. What no rule knows is worth
another try: to ask again costs a request, to give up costs a recording.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of a failure.

    Attributes:
        error: yt-dlp's message.
        warnings: what it, or ffmpeg, said before.
        kinds: names of the exceptions, the first one raised last.
        status: of HTTP, where there was an answer.
        errno: of the operating system.
    """

    error: str
    warnings: str = ""
    kinds: str = ""
    status: int | None = None
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure, judged.

    Attributes:
        reason: short and countable, kebab-case.
        detail: what was said, shortened.
        temporary: another try may succeed.
        stop: no further request should be made now: each makes the refusal longer.
        disk_full: there is no space left.
    """

    reason: str
    detail: str
    temporary: bool
    stop: bool = False
    disk_full: bool = False


_STOP = (
    ("rate-limited", r"error 429|too many requests|rate.?limit(ed)? by|content isn.?t available, try again"),
    ("bot-check", r"confirm you.?re not a (ro)?bot|captcha|unusual traffic"),
)
_FINAL = (
    ("age-restricted", r"confirm your age|age.restricted|inappropriate for some users"),
    ("private", r"private video|video is private|is private\b"),
    ("members-only", r"members.only|join this channel|available to this channel.s members"),
    ("paid", r"requires payment|purchase|rental|premium (members|subscri)"),
    ("geo-restricted", r"(in|from) your (country|location)|geo.?restrict"),
    (
        "removed",
        r"has been removed|been terminated|no longer available|been deleted|does not exist|copyright claim"
        r"|http error (404|410)|server returned 404|video unavailable",
    ),
    ("drm", r"\bdrm\b"),
    ("too-large", r"larger than max-filesize"),
    ("too-long", r"xmbench: .* s long"),
    ("playlist", r"xmbench: a playlist"),
    ("login-needed", r"login required|\blog in\b|registered users|sign in|requires authentication|use --cookies"),
    ("unsupported-address", r"unsupported url|is not a valid url"),
)
_LATER = (
    ("not-yet", r"live event will begin|premieres in|is offline|not currently live|xmbench: a live stream"),
    (
        "no-program",
        r"javascript runtime|ffmpeg is not installed|ffmpeg.* not (be )?found|challenge solving|signature solving",
    ),
    ("timeout", r"timed? ?out"),
    ("forbidden", r"http error 403"),
    ("server-error", r"http error 5\d\d|server returned 5"),
    (
        "unreachable",
        r"name or service|name resolution|getaddrinfo|connection|network is unreachable|unable to connect|\bssl|"
        r"incomplete|bytes read|did not get any data|remote end closed",
    ),
    ("no-format", r"requested format|no video formats"),
)
_STATUS = {404: "removed", 410: "removed", 451: "geo-restricted"}


def judged(said: Said) -> Failure:
    """What a failure means."""
    detail = re.sub(r"\s+", " ", said.error).strip().removeprefix("ERROR: ")[:_SHOWN]
    if said.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("no-space", detail, temporary=True, stop=True, disk_full=True)
    error, all_said = said.error.lower(), f"{said.error} {said.warnings}".lower()
    if said.status == 429:
        return Failure("rate-limited", detail, temporary=True, stop=True)
    if reason := _first(_STOP, all_said):  # a refusal is often only a warning, and the error is what followed
        return Failure(reason, detail, temporary=True, stop=True)
    if "GeoRestrictedError" in said.kinds:
        return Failure("geo-restricted", detail, temporary=False)
    if said.status in _STATUS:
        return Failure(_STATUS[said.status], detail, temporary=False)
    if reason := _first(_FINAL, error):
        return Failure(reason, detail, temporary=False)
    if "UnsupportedError" in said.kinds:
        return Failure("unsupported-address", detail, temporary=False)
    reason = _first(_LATER, error)
    if reason in ("", "no-format"):  # a warning may say why
        reason = _first(_LATER, all_said)
    return Failure(reason or "unknown", detail, temporary=True)


def _first(rules: tuple[tuple[str, str], ...], text: str) -> str:
    return next((reason for reason, pattern in rules if re.search(pattern, text)), "")
