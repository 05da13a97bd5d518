"""Chromium in a container without a network, driven by Playwright; see `chromium_container` for how they are joined."""

import io
import os
import shlex
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

import docker
from docker.models.containers import Container
from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import Page as PlaywrightPage
from playwright.sync_api import ViewportSize, sync_playwright

from tests.helpers import chromium_container

_PATIENCE = 60_000
"""Milliseconds for one answer."""
_HOME = "/home/browser"
_PROJECT = Path(__file__).parents[2]


class Page:
    """A page in its tab, with its requests and console messages."""

    def __init__(self, page: PlaywrightPage, url: str) -> None:
        self.tab = page
        self.complaints: list[str] = []
        """Errors and warnings on the console, what the page's own policy has blocked included, and exceptions."""
        self.requests: list[str] = []
        """The URLs that the page requested, its own first."""
        page.set_default_timeout(_PATIENCE)
        page.on("console", lambda said: self.complaints.append(said.text) if said.type in _COMPLAINTS else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as data."""
        return self.tab.evaluate(expression)

    def press(self, key: str, *, times: int = 1) -> None:
        """Press a key, for example `Tab` or `Shift+Tab`."""
        for _ in range(times):
            self.tab.keyboard.press(key)


_COMPLAINTS = ("error", "warning", "assert")


class Browser:
    """A running browser and the files in its container."""

    def __init__(self, browser: PlaywrightBrowser, container: Container) -> None:
        self._browser, self._container = browser, container
        self._numbers = count(1)

    def open(self, file: Path, *, dark: bool = False, still: bool = False, width: int = 1280) -> Page:
        """Open a copy of a file in a directory of its own."""
        name = f"{next(self._numbers)}/{file.name}"
        content, archive = file.read_bytes(), io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        self._container.put_archive(_HOME, archive.getvalue())
        scheme: Literal["dark", "light"] = "dark" if dark else "light"
        motion: Literal["reduce", "no-preference"] = "reduce" if still else "no-preference"
        page = self._browser.new_page(
            color_scheme=scheme, reduced_motion=motion, viewport=ViewportSize(width=width, height=900)
        )
        return Page(page, f"file://{_HOME}/{name}")


@contextmanager
def browser(client: docker.DockerClient, image: str, directory: Path) -> Iterator[Browser]:
    """Run a browser of an image; `directory` takes the script that Playwright launches."""
    name = f"openvpn-routing-lab-browser-{os.getpid()}"
    command = shlex.join([sys.executable, "-m", chromium_container.__name__, name, image])
    script = directory / "chromium"
    script.write_text(f'#!/bin/sh\ncd {shlex.quote(os.fspath(_PROJECT))} && exec {command} "$@"\n')
    script.chmod(0o755)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=script, timeout=_PATIENCE)
        try:
            yield Browser(running, client.containers.get(name))
        finally:
            running.close()
