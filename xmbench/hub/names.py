"""Names of repositories and revisions on the Hub, checked before any request."""

from __future__ import annotations

import re

from xmbench.hub.token import redacted
from xmbench.printable import shown

_LONGEST = 96  # characters of an owner or a name, the Hub's own limit
_LONGEST_REVISION = 255
_PART = re.compile(r"[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_-])?", re.ASCII)


def is_repository(text: str) -> bool:
    """Whether this is `OWNER/NAME`: two parts of ASCII letters, digits, `-`, `_` and single dots inside."""
    parts = text.split("/")
    return len(parts) == 2 and all(_is_part(part, _LONGEST) for part in parts)


def is_revision(text: str) -> bool:
    """Whether this can be a commit, a tag or a branch: such parts separated by slashes."""
    return len(text) <= _LONGEST_REVISION and all(_is_part(part, _LONGEST_REVISION) for part in text.split("/"))


def told(text: str, token: str | None = None) -> str:
    """A text of the user or of the Hub for a message: one line, no access token, no control characters."""
    return shown(redacted(text[:10_000], token), 300)


def _is_part(text: str, longest: int) -> bool:
    return len(text) <= longest and ".." not in text and _PART.fullmatch(text) is not None
