"""The access token of the Hugging Face Hub: found where the Hub's own tools keep it, never shown and never written."""

from __future__ import annotations

import os
import re

from xmbench.errors import HubError

_TOKEN = re.compile(r"hf_[A-Za-z0-9_-]{3,}")
_HIDDEN = "hf_***"
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def stored_token() -> str | None:
    """The token of `HF_TOKEN`, or else of the stored login (`hf auth login`); None if neither is set.

    Raises:
        HubError: the stored value cannot be a token.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise HubError(
            "the access token has characters that are not allowed in a token",
            where=token_place(),
            expected="letters, digits and underscores, like hf_...",
            todo="copy it again, or run `hf auth login`",
        )
    return token


def token_place() -> str:
    """Where the token comes from, for messages."""
    return next((f"the variable {name}" for name in _VARIABLES if os.environ.get(name)), "the stored login")


def redacted(text: str, token: str | None = None) -> str:
    """The text without anything that is, or looks like, an access token."""
    if token:
        text = text.replace(token, _HIDDEN)
    return _TOKEN.sub(_HIDDEN, text)
