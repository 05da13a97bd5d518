"""Images of a Docker engine that are sent to another one, as `docker save` and `docker load` do."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import docker
import requests
from docker.errors import DockerException, ImageNotFound
from docker.utils import parse_repository_tag

from lab.core.errors import EnvironmentBroken, InputError
from lab.host.docker_engine import pull, reason, translated
from lab.image.build import one_at_a_time
from lab.image.parcel import Parcel

_ENGINE: Final = "docker"


def digest_of(client: docker.DockerClient, reference: str) -> str:
    """Return the digest of an image; empty if the engine lacks it."""
    with translated(reference):
        try:
            return str(client.images.get(reference).id)
        except ImageNotFound:
            return ""


def describe(client: docker.DockerClient, reference: str) -> Parcel:
    """Describe an image, which is pulled if it is missing; raises `InputError` if it cannot be."""
    if not digest_of(client, reference):
        try:
            pull(client.api, reference)
        except (DockerException, requests.RequestException) as error:
            raise InputError(
                f"image {reference!r} does not exist on this host and cannot be pulled ({reason(error)})"
            ) from error
    with translated(reference):
        image = client.images.get(reference)
        return Parcel(_ENGINE, reference, str(image.id), int(image.attrs["Size"]))


def read(client: docker.DockerClient, parcel: Parcel) -> Iterator[bytes]:
    """Yield an image as an archive without a name: the receiver names what has arrived as a whole."""
    with translated(parcel.reference):
        yield from client.api.get_image(parcel.digest)


def write(client: docker.DockerClient, parcel: Parcel, chunks: Iterable[bytes]) -> None:
    """Load what `read` yields, and name it, unless the engine has it.

    Raises `EnvironmentBroken` if another image has arrived, or the engine refuses it, and what `chunks` raises.
    """
    repository, tag = parse_repository_tag(parcel.reference)
    if "@" in parcel.reference:
        raise EnvironmentBroken(
            f"image {parcel.reference} is named by a registry's digest, which `docker load` does not keep: "
            "pull it on the worker"
        )
    with one_at_a_time(), translated(parcel.reference):
        if digest_of(client, parcel.digest) != parcel.digest:
            api: Any = client.api
            events = api.load_image(data=iter(chunks))
            said = [str(event.get("error") or event.get("message") or "") for event in events]
            if digest_of(client, parcel.digest) != parcel.digest:
                why = " ".join(filter(None, said)) or "it has another digest there; do both engines keep images alike?"
                raise EnvironmentBroken(f"{parcel} cannot be loaded: {why}")
        client.images.get(parcel.digest).tag(repository, tag or "latest")
