"""Chromium without a window and without a network, driven over its DevTools protocol.

It runs in a container that has no interface but `lo`. The protocol's messages, JSON with a NUL after each, go over the
container's stdin and stdout (`--remote-debugging-pipe`), so nothing listens anywhere.
"""

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from socket import socket
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.utils.socket import STDOUT, frames_iter

PATIENCE = 60
"""Seconds for one answer."""
_HOME = "/home/browser"

_KEYS = {
    "Tab": {"code": "Tab", "windowsVirtualKeyCode": 9},
    "Enter": {"code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Space": {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
    "ArrowDown": {"code": "ArrowDown", "windowsVirtualKeyCode": 40},
}
_SHIFT = 8


class BrowserFailed(Exception):
    """The browser ended, did not answer in time or refused what it was asked."""


class Pipe:
    """The protocol, as far as it does not belong to a page."""

    def __init__(self, container: Container) -> None:
        self._stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 1})
        self._socket: socket = self._stream._sock  # type: ignore[union-attr]
        self._socket.settimeout(PATIENCE)
        self._messages = self._read()
        self._numbers = count(1)
        self._said = b""
        self.events: list[dict[str, Any]] = []
        """What the browser told unasked, in order."""

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Ask for something, and return what came of it; raises `BrowserFailed`."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._socket.sendall(json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise BrowserFailed(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that is wanted, of those that came and those to come."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            self.events.append(self._next())

    def close(self) -> None:
        """Let go of the container's streams."""
        self._stream.close()

    def _next(self) -> dict[str, Any]:
        try:
            return next(self._messages)
        except StopIteration:
            raise BrowserFailed(f"the browser ended: {self._last_words()}") from None
        except TimeoutError as error:
            raise BrowserFailed(f"no answer within {PATIENCE} s: {self._last_words()}") from error

    def _read(self) -> Iterator[dict[str, Any]]:
        rest = b""
        for stream, data in frames_iter(self._stream, tty=False):  # type: ignore[no-untyped-call]
            if stream != STDOUT:
                self._said += data
                continue
            *whole, rest = (rest + data).split(b"\0")
            yield from map(json.loads, whole)

    def _last_words(self) -> str:
        lines = self._said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


class Page:
    """One page in its tab, and all that it did."""

    def __init__(self, pipe: Pipe, url: str, *, dark: bool = False, still: bool = False, width: int = 1280) -> None:
        self._pipe = pipe
        target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str = pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, motion])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        pipe.wait(lambda event: self._mine(event) and event["method"] == "Page.loadEventFired")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the page's tab for something."""
        return self._pipe.call(method, self._session, **parameters)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to, as data."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserFailed(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key: str, *, shift: bool = False, times: int = 1) -> None:
        """Press a key, as a person does."""
        about = {"key": key, **_KEYS[key], "modifiers": _SHIFT if shift else 0}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **{k: v for k, v in about.items() if k != "text"})

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings on the console, exceptions, and what the page's own policy has forbidden."""
        self.value("0")  # whatever was told before has come now
        found = []
        for event in filter(self._mine, self._pipe.events):
            about = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(about["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
                found.append(str(about["args"]))
            elif event["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
                found.append(str(about["entry"]))
        return found

    @property
    def requests(self) -> list[str]:
        """Everything that the page asked for, itself first."""
        self.value("0")
        return [
            event["params"]["request"]["url"]
            for event in filter(self._mine, self._pipe.events)
            if event["method"] == "Network.requestWillBeSent"
        ]

    def _mine(self, event: dict[str, Any]) -> bool:
        return event.get("sessionId") == self._session


class Browser:
    """A browser that runs, and the files in its container."""

    def __init__(self, container: Container, pipe: Pipe) -> None:
        self._container = container
        self._pipe = pipe

    def open(self, file: Path, **how: Any) -> Page:
        """Open a copy of a file: it stands alone in its directory."""
        content = file.read_bytes()
        name = f"{len(self._pipe.events)}-{file.name}"
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(f"{name}/{file.name}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        self._container.put_archive(_HOME, archive.getvalue())
        return Page(self._pipe, f"file://{_HOME}/{name}/{file.name}", **how)


@contextmanager
def browser(client: docker.DockerClient, image: str) -> Iterator[Browser]:
    """Start a browser; it ends with the block, and with this process: its stdin is then at an end."""
    container = client.containers.create(
        image,
        name=f"openvpn-routing-lab-browser-{os.getpid()}",
        network_mode="none",
        cap_drop=["ALL"],
        stdin_open=True,
        auto_remove=True,
    )
    try:
        pipe = Pipe(container)
        try:
            container.start()
            yield Browser(container, pipe)
        finally:
            pipe.close()
    finally:
        with suppress(NotFound, APIError):  # it may be on its way already
            container.remove(force=True)
