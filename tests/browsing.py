"""Reads pages as a browser does: their elements, and what their scripts make of them."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

VOID = frozenset({"meta", "img", "br", "path", "rect", "input", "circle"})
OPTIONAL = frozenset({"html", "option"})


class Elements(HTMLParser):
    """Start tags of a page, with their attributes; every element must be closed where HTML wants it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID | OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID | OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def asks_for_nothing(text: str) -> Elements:
    """The elements of a page that needs no server and no network, and says what its pictures and sounds are."""
    page = Elements(text)
    for tag, attributes in page.tags:
        assert str(attributes.get("src", "data:")).startswith("data:"), tag
        assert "srcset" not in attributes
        assert tag not in ("link", "iframe", "object")
    assert "url(" not in text
    assert "@import" not in text
    assert all(picture["alt"] for picture in page.of("img"))
    assert all(player["aria-label"] for player in page.of("audio"))
    assert all(chart["aria-label"] for chart in page.of("svg"))
    return page


def in_browser(page: Path, state: str, profile: Path) -> str:
    """The page's elements after its scripts ran, with `state` behind the # of its address; skips without Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--dump-dom",
        f"file://{page}#{state}",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
