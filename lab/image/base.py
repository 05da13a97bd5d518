"""The base image: Debian's own where a registry answers, else made of Debian's packages, under one name."""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from lab.core.progress import Say
from lab.host import packages
from lab.image import recipe

REGISTRY_PATIENCE = 20
"""Seconds that a registry has for its first answer."""

PULL_PATIENCE = 300
"""Seconds without a byte after which a pull is given up."""

IMPORT_PATIENCE = 300
"""Seconds that the engine has to take in a base image of 100 MB."""


def ensure_base(client: docker.DockerClient, say: Say, log: Path) -> None:
    """Have the base image under its name. What the tools print goes to `log`.

    Raises whatever Docker or the tools raise: `lab.image.build` says it in one line.
    """
    if _is_current(client):
        return
    if not _pull(client, say):
        _make(client, say, log)


def _is_current(client: docker.DockerClient) -> bool:
    try:
        image = client.images.get(recipe.BASE_IMAGE)
    except ImageNotFound:
        return False
    return image.labels.get(recipe.RECIPE_LABEL) == recipe.base_digest()


def _labels() -> dict[str, str]:
    return {recipe.IMAGE_LABEL: "base", recipe.RECIPE_LABEL: recipe.base_digest()}


def _pull(client: docker.DockerClient, say: Say) -> bool:
    """Take Debian's image from a registry; False when none answers (in time), whatever the reason."""
    try:
        with _patience(client, REGISTRY_PATIENCE):
            client.images.get_registry_data(recipe.OFFICIAL_BASE)
        say(f"pulling {recipe.OFFICIAL_BASE}")
        with _patience(client, PULL_PATIENCE):
            client.images.pull(recipe.OFFICIAL_BASE)
    except (DockerException, requests.RequestException) as error:
        say(f"no registry gives {recipe.OFFICIAL_BASE} ({_short(error)}): making a base of Debian's packages")
        return False
    # A build of one line gives the image our name and labels and leaves Debian's own untouched.
    dockerfile = io.BytesIO(f"FROM {recipe.OFFICIAL_BASE}\n".encode())
    client.images.build(fileobj=dockerfile, tag=recipe.BASE_IMAGE, labels=_labels(), rm=True)
    return True


def _make(client: docker.DockerClient, say: Say, log: Path) -> None:
    if not (shutil.which("mmdebstrap") or shutil.which("debootstrap")):
        packages.install(["mmdebstrap", "debian-archive-keyring"], "to make the base image", say)
    with tempfile.TemporaryDirectory(prefix="openvpn-routing-lab-base-") as scratch:
        tar = Path(scratch) / "base.tar"
        if shutil.which("mmdebstrap"):
            say(f"making {recipe.BASE_IMAGE} with mmdebstrap, about 20 s")
            _run([*recipe.MMDEBSTRAP, str(tar)], log)
        else:
            root = Path(scratch) / "root"
            say(f"making {recipe.BASE_IMAGE} with debootstrap, about a minute")
            _run([*recipe.DEBOOTSTRAP, str(root)], log)
            _run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(tar), "."], log)
        repository, _, name = recipe.BASE_IMAGE.partition(":")
        changes = [f"LABEL {key}={value}" for key, value in _labels().items()]
        with _patience(client, IMPORT_PATIENCE):
            client.api.import_image(str(tar), repository=repository, tag=name, changes=[*changes, 'CMD ["bash"]'])
        client.images.get(recipe.BASE_IMAGE)  # an import that failed says so only in its output


def _run(argv: list[str], log: Path) -> None:
    with log.open("ab") as output:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True)


@contextmanager
def _patience(client: docker.DockerClient, seconds: int) -> Iterator[None]:
    """Let the client's requests end after `seconds` without an answer."""
    before = client.api.timeout
    client.api.timeout = seconds
    try:
        yield
    finally:
        client.api.timeout = before


def _short(error: Exception) -> str:
    if isinstance(error, APIError) and error.explanation:
        return str(error.explanation).splitlines()[0]
    return type(error).__name__
