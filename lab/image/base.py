"""The base image: pulled from a registry, or else made from Debian's packages, under one name."""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import requests
from docker.errors import DockerException, ImageNotFound, NotFound

from lab.core.errors import EnvironmentBroken
from lab.core.progress import Say
from lab.host.docker_engine import pull, reason
from lab.image import recipe

REGISTRY_PATIENCE = 20
"""Seconds to wait for a registry's first answer."""

PULL_PATIENCE = 300
"""Seconds without a byte after which a pull is abandoned."""

IMPORT_PATIENCE = 300
"""Seconds for the engine to import a base image of 100 MB."""


class ToolsMissing(EnvironmentBroken):
    """No registry has the base image, and the program that makes it is not installed."""

    packages = ("mmdebstrap", "debian-archive-keyring")
    """Debian's packages to install."""

    def __init__(self) -> None:
        names = " ".join(self.packages)
        super().__init__(f"mmdebstrap is needed to make the base image: run `apt-get install {names}` as root")


def provide_base(client: docker.DockerClient, say: Say, log: Path) -> None:
    """Pull or make the base image unless it exists; the tools' output goes to `log`.

    Raises `ToolsMissing`, or what Docker and the tools raise, which `lab.image.build` translates.
    """
    if _is_current(client):
        return
    if why := _pull(client, say):
        _make(client, say, log, why)


def _is_current(client: docker.DockerClient) -> bool:
    try:
        image = client.images.get(recipe.BASE_IMAGE)
    except ImageNotFound:
        return False
    return image.labels.get(recipe.RECIPE_LABEL) == recipe.base_digest()


def labels() -> dict[str, str]:
    """Return the labels of the base image."""
    return {recipe.IMAGE_LABEL: "base", recipe.RECIPE_LABEL: recipe.base_digest()}


def _pull(client: docker.DockerClient, say: Say) -> str:
    """Pull Debian's image from a registry; return why that failed, empty if it did not."""
    try:
        # Podman 4 does not have this request, and asks the registry when it pulls.
        with _patience(client, REGISTRY_PATIENCE), suppress(NotFound):
            client.images.get_registry_data(recipe.OFFICIAL_BASE)
        say(f"pulling {recipe.OFFICIAL_BASE}")
        with _patience(client, PULL_PATIENCE):
            pull(client.api, recipe.OFFICIAL_BASE)
    except (DockerException, requests.RequestException) as error:
        return reason(error)
    # A build of one line gives the image the lab's name and labels, and leaves Debian's own unchanged.
    dockerfile = io.BytesIO(f"FROM {recipe.OFFICIAL_BASE}\n".encode())
    client.images.build(fileobj=dockerfile, tag=recipe.BASE_IMAGE, labels=labels(), rm=True)
    return ""


def _make(client: docker.DockerClient, say: Say, log: Path, why: str) -> None:
    with tempfile.TemporaryDirectory(prefix="openvpn-routing-lab-base-") as scratch:
        tar = Path(scratch) / "base.tar"
        make_tar(tar, say, log, why)
        changes = [f"LABEL {key}={value}" for key, value in labels().items()]
        with _patience(client, IMPORT_PATIENCE):
            # With the tag in a parameter of its own, Podman 4 names the image `latest`.
            client.api.import_image(str(tar), repository=recipe.BASE_IMAGE, changes=[*changes, 'CMD ["bash"]'])
        client.images.get(recipe.BASE_IMAGE)  # a failed import is visible only in its output


def make_tar(tar: Path, say: Say, log: Path, why: str) -> None:
    """Make the base image's root file system from Debian's packages; `why` it cannot be pulled.

    The tools' output goes to `log`. Raises `ToolsMissing`, `subprocess.SubprocessError` and `OSError`.
    """
    if not (shutil.which("mmdebstrap") or shutil.which("debootstrap")):
        raise ToolsMissing
    say(f"{recipe.OFFICIAL_BASE} cannot be pulled ({why}): making a base image from Debian's packages")
    if shutil.which("mmdebstrap"):
        say(f"making {recipe.BASE_IMAGE} with mmdebstrap, about 20 s")
        _run([*recipe.MMDEBSTRAP, str(tar)], log)
        return
    with tempfile.TemporaryDirectory(prefix="openvpn-routing-lab-base-") as scratch:
        root = Path(scratch) / "root"
        say(f"making {recipe.BASE_IMAGE} with debootstrap, about a minute")
        _run([*recipe.DEBOOTSTRAP, str(root)], log)
        _run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(tar), "."], log)


def _run(argv: list[str], log: Path) -> None:
    with log.open("ab") as output:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True)


@contextmanager
def _patience(client: docker.DockerClient, seconds: int) -> Iterator[None]:
    """Set the timeout of the client's requests."""
    before = client.api.timeout
    client.api.timeout = seconds
    try:
        yield
    finally:
        client.api.timeout = before
