"""Images from one Docker engine to another: this one has an image again that was removed, whole or not at all."""

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace

import docker
import pytest

from lab.core.errors import EnvironmentBroken
from lab.engine import open_engine
from lab.engine.docker.engine import DockerEngine
from lab.image.parcel import Parcel

pytestmark = [pytest.mark.docker, pytest.mark.only_docker("stores images itself: tests/unit/cluster/test_images.py")]

NAME = f"lab-sent-{os.getpid()}"


@pytest.fixture
def engine() -> DockerEngine:
    engine = open_engine()
    assert isinstance(engine, DockerEngine)
    return engine


@pytest.fixture
def parcel(client: docker.DockerClient, engine: DockerEngine) -> Iterator[Parcel]:
    """An image of one file."""
    written = io.BytesIO()
    content = os.urandom(3_000_000)
    with tarfile.open(fileobj=written, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    client.api.import_image_from_data(written.getvalue(), repository=NAME, tag="1")
    parcel = engine.describe_image(f"{NAME}:1")
    yield parcel
    remove(client, parcel)


def remove(client: docker.DockerClient, parcel: Parcel) -> None:
    for image in client.images.list(all=True):
        if image.id == parcel.digest:
            client.images.remove(image.id, force=True)


def sent(engine: DockerEngine, client: docker.DockerClient, parcel: Parcel) -> bytes:
    """Read an image, and remove it."""
    content = b"".join(engine.read_image(parcel))
    remove(client, parcel)
    assert engine.digest_of(parcel.reference) == engine.digest_of(parcel.digest) == ""
    return content


def test_image_is_the_same_afterwards(client: docker.DockerClient, engine: DockerEngine, parcel: Parcel) -> None:
    content = sent(engine, client, parcel)
    engine.write_image(parcel, iter([content[:1_000_000], content[1_000_000:]]))
    assert engine.digest_of(parcel.reference) == parcel.digest
    assert engine.describe_image(parcel.reference) == parcel
    other = replace(parcel, reference=f"{NAME}:2")
    engine.write_image(other, iter(pytest.fail, None))
    assert engine.digest_of(f"{NAME}:2") == parcel.digest, "an image that is there gets the name"


def test_image_that_breaks_off_leaves_nothing(
    client: docker.DockerClient, engine: DockerEngine, parcel: Parcel
) -> None:
    content = sent(engine, client, parcel)

    def chunks() -> Iterator[bytes]:
        yield content[:1_000_000]
        raise EnvironmentBroken("it was not sent to its end")

    with pytest.raises(EnvironmentBroken, match=r"^it was not sent to its end$"):
        engine.write_image(parcel, chunks())
    assert engine.digest_of(parcel.reference) == engine.digest_of(parcel.digest) == ""


def test_damaged_image_is_refused(client: docker.DockerClient, engine: DockerEngine, parcel: Parcel) -> None:
    content = bytearray(sent(engine, client, parcel))
    content[1_500_000] ^= 1
    with pytest.raises(EnvironmentBroken, match=rf"^image {NAME}:1 \(sha256:\w+\) cannot be loaded: "):
        engine.write_image(parcel, iter([bytes(content)]))
    assert engine.digest_of(parcel.reference) == engine.digest_of(parcel.digest) == ""


def test_image_named_by_a_registrys_digest_is_refused(engine: DockerEngine, parcel: Parcel) -> None:
    pinned = replace(parcel, reference=f"{NAME}@{parcel.digest}")
    with pytest.raises(EnvironmentBroken, match=r"is named by a registry's digest, .*pull it on the worker$"):
        engine.write_image(pinned, iter(pytest.fail, None))
