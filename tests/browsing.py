"""Reads pages as a browser does: their elements, and what their scripts make of them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

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


def policy(page: Elements) -> dict[str, str]:
    """What the page's content security policy says, by directive."""
    (text,) = [m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    return {name: " ".join(words) for name, *words in (part.split() for part in str(text).split(";"))}


def runs_only_its_own(text: str) -> Elements:
    """The elements of a page on which nothing runs or is applied but the script and the style that its policy names."""
    page = Elements(text)
    said = policy(page)
    assert page.tags[2][1].get("http-equiv") == "Content-Security-Policy"  # before anything that it should stop
    assert said["default-src"] == said["base-uri"] == said["form-action"] == "'none'"
    assert said["img-src"] == said["media-src"] == "data:"
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(found) == len(page.of(tag)) <= 1
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in found]
        assert said[directive] == (f"'sha256-{digests[0]}'" if digests else "'none'")
    for tag, attributes in page.tags:
        assert tag not in ("base", "iframe", "object", "embed", "link", "foreignobject", "use", "animate", "set"), tag
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc", "formaction")]
        address = str(attributes.get("href", "https://"))
        assert address.startswith(("https://", "http://")) or ":" not in address
    return page


class Browser:
    """A headless Chromium that is spoken to over a pipe; skips where there is none.

    Attributes:
        dialogs: texts of dialogs that a page opened.
        complaints: what the browser logged: violations of the policy, and errors of scripts.
        requests: addresses that were asked for, without those of the page itself and inside it.
    """

    def __init__(self, profile: Path) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("no Chromium here")
        self.dialogs: list[str] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._seen: list[str] = []
        self._count, self._rest, self._session = 0, b"", ""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [program, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        start = [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), *command]
        self._process = subprocess.Popen(start, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, page: Path, state: str = "") -> None:
        """Loads a page, with `state` behind the # of its address."""
        self._seen.clear()
        self._call("Page.navigate", url="about:blank")
        self._await("Page.loadEventFired")
        self._call("Page.navigate", url=f"file://{page}{'#' + state if state else ''}")
        self._await("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """What an expression of the page gives; a promise is awaited."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def scheme(self, name: str) -> None:
        """Makes the page believe that its reader prefers "dark" or "light" pages."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def phone(self) -> None:
        """Makes the window as narrow as a phone's: 390 pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)

    def press(self, key: str) -> None:
        """Presses and releases a key: a character, "Tab" or "Enter"."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r")}.get(key, (ord(key[0].upper()), key))
        known = {"key": key, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", type="keyDown", text=text, **known)
        self._call("Input.dispatchKeyEvent", type="keyUp", **known)

    def save_to(self, folder: Path) -> None:
        """Lets pages save files, without asking, into a directory."""
        self._call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def close(self) -> None:
        """Ends the browser."""
        os.close(self._out)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    def _call(self, method: str, **parameters: Any) -> Any:
        self._count += 1
        number = self._count
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps({"id": number, "method": method, "params": parameters, **session}).encode())
        os.write(self._out, b"\0")
        while True:
            message = self._message()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def _await(self, event: str) -> None:
        while event not in self._seen:
            self._message()
        self._seen.remove(event)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], 60)[0], "the browser says nothing"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        text, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, said: dict[str, Any]) -> None:
        self._seen.append(method)
        if method == "Page.javascriptDialogOpening":
            self.dialogs.append(said["message"])
            self._count += 1
            answer = {"id": self._count, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            os.write(self._out, json.dumps({**answer, "sessionId": self._session}).encode() + b"\0")
        elif method == "Log.entryAdded":
            self.complaints.append(said["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"]))
        elif method == "Network.requestWillBeSent":
            address = said["request"]["url"]
            if not address.startswith("data:") and said.get("type") != "Document":
                self.requests.append(address)


# The browser reads from descriptor 3 and writes to descriptor 4.
_START = """
import os, sys
a, b = (os.dup(os.dup(int(number))) for number in sys.argv[1:3])
os.dup2(a, 3), os.dup2(b, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
)


def in_browser(page: Path, state: str, profile: Path) -> str:
    """The page's elements after its scripts ran, with `state` behind the # of its address; skips without Chromium."""
    browser = Browser(profile)
    try:
        browser.open(page, state)
        return str(browser.value("document.documentElement.outerHTML"))
    finally:
        browser.close()
