"""A headless Chromium, driven through its debugging pipe: neither a driver nor a library is needed.

Source: https://chromedevtools.github.io/devtools-protocol; messages are JSON, ended by a zero byte.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_KEYS = {"Tab": 9, "Enter": 13, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
_SECONDS = 60.0


class Browser:
    """One process with an empty profile; without Chromium the test is skipped.

    Parameters
    ----------
    profile : path
        Folder that does not exist yet.
    """

    def __init__(self, profile: Path) -> None:
        if CHROMIUM is None:
            pytest.skip("no Chromium on this machine")
        theirs, self._out = _pipe()
        self._in, theirs_too = _pipe()

        def plumb() -> None:  # it reads from 3 and writes to 4
            os.dup2(theirs, 3)
            os.dup2(theirs_too, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *_OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=plumb,
        )
        os.close(theirs)
        os.close(theirs_too)
        self._number = 0
        self._buffer = b""
        self._target = ""
        self._pages: dict[str, Page] = {}

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def open(self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        """Return a page once it is loaded; the one before is closed."""
        if self._target:
            self.call("Target.closeTarget", targetId=self._target)
        self._target = target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.go(address)
        return page

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._out, rest) :]
        while (answer := self.receive()).get("id") != self._number:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        while b"\0" not in self._buffer:
            assert select.select([self._in], [], [], _SECONDS)[0], "Chromium does not answer"
            new = os.read(self._in, 1 << 20)
            assert new, "Chromium has ended"
            self._buffer += new
        message, self._buffer = self._buffer.split(b"\0", 1)
        answer = json.loads(message)
        if answer.get("sessionId") in self._pages:
            self._pages[answer["sessionId"]].note(answer)
        return answer


class Page:
    """One page of a browser.

    Parameters
    ----------
    browser : Browser
    session : str
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []
        """What the console said, and exceptions that nobody caught."""
        self.requests: list[str] = []
        """Addresses that it loaded, or tried to."""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol for this page."""
        return self._browser.call(method, self._session, **params)

    def note(self, event: dict[str, Any]) -> None:
        """Keep what an event says."""
        if event.get("method") in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(event["params"]))
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])

    def go(self, address: str) -> None:
        """Load an address and wait for it."""
        self.call("Page.navigate", url=address)
        while self._browser.receive().get("method") != "Page.loadEventFired":
            pass

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page another size, in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def run(self, script: str) -> Any:
        """Return the value of an expression, awaited where it is a promise."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, *keys: str, shift: bool = False) -> None:
        """Press keys, one after the other."""
        for key in keys:
            event = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key], "modifiers": 8 if shift else 0}
            text = {"text": "\r"} if key == "Enter" else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Write a PNG of the page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def print(self, path: Path) -> None:
        """Write the page as a PDF."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF")["data"]))

    def violations(self) -> list[str]:
        """Return what axe-core, the file that ``FEATX_TEST_AXE`` names, holds against the page."""
        axe = os.environ.get("FEATX_TEST_AXE")
        if not axe:
            pytest.skip("FEATX_TEST_AXE names no axe.min.js (npm package axe-core)")
        self.run(Path(axe).read_text(encoding="utf-8") + "; 0")
        node = "one.id + ': ' + node.html + ' ' + node.failureSummary"
        return self.run(f"axe.run().then((said) => said.violations.flatMap((one) => one.nodes.map((node) => {node})))")


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, with numbers above those that the browser uses."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
