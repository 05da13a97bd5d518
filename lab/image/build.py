"""Build missing images, once, even if several processes need them at the same time."""

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from lab.core.errors import EnvironmentBroken
from lab.core.places import lock_directory
from lab.core.progress import Say
from lab.host import docker_engine
from lab.host.docker_engine import reason
from lab.image import recipe
from lab.image.base import ToolsMissing, provide_base

# Docker accepts these build arguments undeclared, and does not store them in the image.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

SILENCE = 600
"""Seconds without a line of output after which a build counts as stuck."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def provide(client: docker.DockerClient | None, image: str, say: Say) -> str:
    """Build the image that a topology names, and return its full reference; foreign images are returned unchanged.

    Raises `InputError` if the lab has no image of this name, and what `ensure_image` raises.
    """
    wanted = recipe.of(image)
    if wanted is None:
        return image
    if wanted.name == "node":
        return ensure(client, wanted.variant, say)
    client = client or docker_engine.connect()
    reference = ensure_image(client, wanted, say)
    _move(client, reference, recipe.repository(wanted.name), "latest")
    return reference


def ensure(client: docker.DockerClient | None, version: str, say: Say) -> str:
    """Build the node image of an OpenVPN version if it is missing, and return its full reference.

    Moves the alias (`…/node:2.6`) to the image; otherwise like `ensure_image`.
    """
    client = client or docker_engine.connect()
    reference = ensure_image(client, recipe.node(version), say)
    _move(client, reference, recipe.NODE_IMAGE, version)
    return reference


def ensure_image(client: docker.DockerClient | None, wanted: recipe.Recipe, say: Say) -> str:
    """Build an image of the lab if it is missing, and return its full reference.

    Calls `say` for every step. Raises `EnvironmentBroken` with one sentence and the path of the build's output.
    """
    client = client or docker_engine.connect()
    reference = wanted.reference
    if not _exists(client, reference):
        with one_at_a_time():
            if not _exists(client, reference):
                _build(client, wanted, reference, say)
    return reference


def ensure_base(client: docker.DockerClient | None, say: Say) -> None:
    """Pull or make the base image if it is missing.

    Raises `ToolsMissing` if that needs packages that are not installed, and what `ensure_image` raises.
    """
    client = client or docker_engine.connect()
    with one_at_a_time(), logged("base", recipe.BASE_IMAGE) as log:
        provide_base(client, say, log)


def remove_all(client: docker.DockerClient, say: Say) -> None:
    """Remove every image of the lab, including older builds, and no other.

    Raises `EnvironmentBroken` if one is in use.
    """
    listed = client.images.list(filters={"label": recipe.IMAGE_LABEL})
    # Nodes before their base. An image that a user derived from ours inherits the label, so check the name as well.
    for image in sorted(listed, key=lambda image: image.labels[recipe.IMAGE_LABEL] == "base"):
        tags = map(recipe.short_name, image.tags)
        names = [name for name in tags if name.startswith(recipe.FAMILY)] if image.tags else [str(image.id)]
        for name in names:
            try:
                client.images.remove(name)
            except DockerException as error:
                raise EnvironmentBroken(f"image {name} cannot be removed: {reason(error)}") from error
            say(f"removed {name}")


def explain(error: str, output: str, what: str, log: Path) -> EnvironmentBroken:
    """Return a failed build's error in one sentence: from apt or the disk in its `output`, or else `error` itself."""
    lines = [_COLOUR.sub("", line).strip() for line in [*output.splitlines()[-40:], *error.splitlines()]]
    if any("no space left on device" in line.lower() for line in lines):
        return EnvironmentBroken(f"the disk is full: building {what} takes about 1 GB; the output is in {log}")
    apt_errors = [line for line in lines if line.startswith("E: ")]
    reason = apt_errors[-1] if apt_errors else next((line for line in reversed(lines) if line), "no reason given")
    return EnvironmentBroken(f"building {what} failed: {reason[:300]}; the output is in {log}")


def headline(line: str) -> str | None:
    """Return the part of a line of build output to show: steps that take time, and downloads."""
    line = " ".join(line.split())
    if re.match(r"(?i)Step \d+/\d+ ?: (FROM|RUN|COPY) ", line):
        return line if len(line) <= 100 else f"{line[:99]}…"
    if line.startswith(("Need to get ", "E: ")):
        return f"  {line}"
    return None


def _move(client: docker.DockerClient, reference: str, repository: str, tag: str) -> None:
    """Move a tag to an image."""
    image = client.images.get(reference)
    if f"{repository}:{tag}" not in map(recipe.short_name, image.tags):
        image.tag(repository, tag)


def _build(client: docker.DockerClient, wanted: recipe.Recipe, reference: str, say: Say) -> None:
    with logged(wanted.variant or wanted.name, reference) as log:
        say(f"building {reference} ({wanted.about}); the whole output is in {log}")
        provide_base(client, say, log)
        events = client.api.build(
            path=str(wanted.context),
            tag=reference,
            buildargs={**wanted.build_args, **proxies()},
            network_mode="host",
            rm=True,
            forcerm=True,
            decode=True,
            timeout=SILENCE,
        )
        _follow(events, say, log)
        client.images.get(reference)


def _follow(events: Iterable[dict[str, Any]], say: Say, log: Path) -> None:
    with log.open("a") as output:
        for event in events:
            text = str(event.get("stream", ""))
            output.write(text)
            for line in text.splitlines():
                if shown := headline(line):
                    say(shown)
            if "error" in event:
                raise DockerException(event["error"])


def proxies() -> dict[str, str]:
    """Return the build arguments that name this host's proxies."""
    return {name: os.environ[name] for name in PROXIES if name in os.environ}


def _exists(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.get(reference)
    except ImageNotFound:
        return False
    except (DockerException, requests.RequestException) as error:
        raise EnvironmentBroken(f"the Docker engine cannot be asked for {reference}: {reason(error)}") from error
    return True


@contextmanager
def logged(variant: str, what: str) -> Iterator[Path]:
    """Yield a log file; if the build of `what` fails, keep it and raise `explain`'s error, else remove it."""
    descriptor, name = tempfile.mkstemp(prefix=f"openvpn-routing-lab-{variant}-", suffix=".log")
    os.close(descriptor)
    log = Path(name)
    try:
        yield log
    except ToolsMissing:
        log.unlink()
        raise
    except (DockerException, requests.RequestException, subprocess.SubprocessError, OSError) as error:
        raise explain(_error_text(error), log.read_text(errors="replace"), what, log) from error
    log.unlink()


def _error_text(error: Exception) -> str:
    return reason(error) if isinstance(error, requests.RequestException) else str(error)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold this host's build lock; the kernel releases it however this process ends."""
    with (lock_directory() / "image.build").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
