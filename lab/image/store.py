"""Images unpacked into directories, once per digest, for engines that mount a root file system themselves.

An image's directory is complete from the moment it exists: it is filled under another name and renamed. A lock lets one
process at a time unpack, and what a killed one left is removed by the next.
"""

import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.places import data_directory, private, runtime_directory
from lab.core.progress import Say
from lab.host import docker_engine
from lab.host.user_namespace import is_in_network_of_labs
from lab.image import recipe
from lab.image.archive import names_and_digest, unpack

_CONFIG, _ROOTFS, _PARTIAL, _ARCHIVE, _NAMES = "config.json", "rootfs", ".partial-", "archive.tar", "names"
_HOW = "buildah, which builds and pulls images without Docker, is not installed: run `apt-get install buildah` as root"
"""The message about a missing buildah."""
_SECOND = 1_000_000_000
"""The unit of an image's times is the nanosecond."""


@dataclass(frozen=True)
class ImageHealthcheck:
    """An image's health check; None for a time or number that it does not set."""

    test: tuple[str, ...]
    """`CMD` or `CMD-SHELL`, and the command; `NONE` without a check."""
    interval: float | None = None
    """Seconds."""
    timeout: float | None = None
    """Seconds."""
    start_period: float | None = None
    """Seconds."""
    retries: int | None = None


@dataclass(frozen=True)
class ImageConfig:
    """How an image is to be run (OCI image specification, "Image Configuration")."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """Each as NAME=VALUE."""
    user: str = ""
    """As `USER[:GROUP]`, names or numbers; empty for root."""
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    """Directories whose content belongs to the container."""
    healthcheck: ImageHealthcheck | None = None

    @classmethod
    def read(cls, configuration: Mapping[str, Any]) -> "ImageConfig":
        """Read the field `config` of an image's configuration."""
        check = configuration.get("Healthcheck") or {}
        return cls(
            entrypoint=tuple(configuration.get("Entrypoint") or ()),
            cmd=tuple(configuration.get("Cmd") or ()),
            env=tuple(configuration.get("Env") or ()),
            user=configuration.get("User") or "",
            working_dir=configuration.get("WorkingDir") or "",
            labels=dict(configuration.get("Labels") or {}),
            volumes=tuple(sorted(configuration.get("Volumes") or ())),
            healthcheck=_healthcheck(check) if check.get("Test") else None,
        )


def _healthcheck(check: Mapping[str, Any]) -> ImageHealthcheck:
    def seconds(key: str) -> float | None:
        return check[key] / _SECOND if check.get(key) else None

    return ImageHealthcheck(
        tuple(check["Test"]), seconds("Interval"), seconds("Timeout"), seconds("StartPeriod"), check.get("Retries")
    )


@dataclass(frozen=True)
class Unpacked:
    """An image on disk; nothing writes into its root file system."""

    rootfs: Path
    digest: str
    """The digest of its content, as `sha256:...`."""
    config: ImageConfig


def provide_unpacked(image: str, say: Say) -> str:
    """Build an image of the lab and unpack it, if it is missing; return its full reference.

    It is taken from a Docker engine that has it, and otherwise built by buildah, or by Docker where buildah is not
    installed. Foreign images are returned unchanged. Raises `InputError` if the lab has no image of this name,
    `EnvironmentBroken` if it cannot be built.
    """
    wanted = recipe.of(image)
    if wanted is None:
        return image
    reference = wanted.reference
    if is_missing(reference):
        from lab.image import buildah  # it imports Docker's client, which takes a quarter of a second
        from lab.image.build import provide

        if not buildah.is_installed():
            try:
                return provide(None, image, say)
            except EnvironmentBroken as error:
                raise EnvironmentBroken(
                    f"{reference} cannot be built: {_HOW}; Docker cannot either: {error}"
                ) from error
        _refuse_without_network(reference)
        with filling(reference) as into:
            if _named(reference) is None:  # no other process has built it in the meantime
                buildah.build(wanted, into / _ARCHIVE, say)
                _store(into / _ARCHIVE, into, reference)
    return reference


def _refuse_without_network(reference: str) -> None:
    """Refuse to build or pull an image from the network of an ordinary user's labs."""
    if is_in_network_of_labs(runtime_directory()):
        raise EnvironmentBroken(
            f"image {reference} is missing, and the network of your labs has no way out: run `lab setup` first, "
            "or `lab setup --load FILE` for an image of others"
        )


def is_missing(reference: str) -> bool:
    """Return whether an image of the lab has to be built: it is not unpacked, and no Docker engine has it."""
    return _named(reference) is None and not _is_in_docker(reference)


def unpacked(reference: str, pull: Literal["IfNotPresent", "Never", "Always"] = "IfNotPresent") -> Unpacked:
    """Return an image, unpacked once per digest.

    A foreign image is Docker's where an engine answers and has it, or was loaded before, or is pulled by buildah as
    `pull` says. Raises `InputError` if the image is missing, `EnvironmentBroken` if it cannot be unpacked.
    """
    found = None if pull == "Always" and not recipe.is_ours(reference) else find(reference)
    if found is None and pull == "Never":
        raise InputError(
            f"image {reference!r} does not exist on this host, and `image-pull-policy: Never` forbids pulling it; load "
            "it with `lab setup --load FILE`, or correct `image`"
        )
    return found or _pulled(reference)


def find(reference: str) -> Unpacked | None:
    """Return an image that this host has, unpacked from the Docker engine's if need be; None if it has none."""
    if recipe.is_ours(reference):
        # Its tag has the digest of its recipe: it does not move to another image.
        return _named(reference) or _from_docker(reference)
    return _from_docker(reference) or _named(reference)


def configuration_of(image: Unpacked) -> Mapping[str, Any]:
    """Return the whole configuration of an unpacked image."""
    configuration: Mapping[str, Any] = json.loads((image.rootfs.parent / _CONFIG).read_text())
    return configuration


def receive(reference: str, digest: str, configuration: Mapping[str, Any], unpack_into: Callable[[Path], None]) -> None:
    """Store an image of another host under a name, unless it is there; `unpack_into` fills its root file system.

    Other processes see all of it or nothing. Raises `EnvironmentBroken` if it cannot be stored.
    """
    with filling(reference) as into:
        if stored(digest) is not None:
            _name(reference, digest)
            return
        (into / _ROOTFS).mkdir(mode=0o755)
        unpack_into(into / _ROOTFS)
        _keep(into, reference, digest, configuration)


def load(archive: Path) -> tuple[str, ...]:
    """Unpack the image of an archive, as `docker save` writes it; return its names.

    Raises `InputError` for another kind of file, or if the image has no name, `EnvironmentBroken` if it cannot be
    unpacked.
    """
    names, digest = names_and_digest(archive)
    if not names:
        raise InputError(f"the image in {archive} has no name: write it with `docker save NAME -o FILE`")
    if stored(digest) is None:
        with filling(names[0]) as into:
            _store(archive, into, names[0], digest)
    for name in names:
        _name(name, digest)
    return names


def remove_everything(say: Say) -> None:
    """Remove every image of the lab from this host: unpacked ones, buildah's, and the Docker engine's if one answers.

    Raises `EnvironmentBroken` if one is in use.
    """
    from lab.image.build import remove_all

    remove_unpacked(say)
    if client := _client():
        remove_all(client, say)
        client.close()


def remove_unpacked(say: Say) -> None:
    """Remove all unpacked images and buildah's; raises `EnvironmentBroken` if a node uses one."""
    from lab.image import buildah

    images = images_directory()
    with _one_at_a_time():
        for directory in sorted(images.glob("sha256-*")):
            if user := _user_of(directory):
                raise EnvironmentBroken(
                    f"image {directory.name} below {images} cannot be removed: node {user} uses it; "
                    "take its lab down first"
                )
            # A directory without its configuration does not count as an image: no process takes half of one.
            (directory / _CONFIG).unlink(missing_ok=True)
            shutil.rmtree(directory)
            say(f"removed the unpacked image {directory.name}")
        shutil.rmtree(images / _NAMES, ignore_errors=True)
    buildah.remove_all(say)


def _user_of(directory: Path) -> str | None:
    """Return a node of the engine crun whose root file system is an overlay over an image, or None."""
    for link in (runtime_directory() / "nodes").glob("*/lower"):
        with suppress(OSError):  # taken down in the meantime
            if link.readlink() == directory / _ROOTFS:
                return link.parent.name
    return None


def _client() -> Any:
    """Return a client of Docker's engine, or None if none answers."""
    try:
        return docker_engine.connect()
    except EnvironmentBroken:
        return None


def _docker_digest(client: Any, reference: str) -> str | None:
    from docker.errors import ImageNotFound

    with docker_engine.translated(reference):
        try:
            return str(client.images.get(reference).id)
        except ImageNotFound:
            return None


def _is_in_docker(reference: str) -> bool:
    client = _client()
    if client is None:
        return False
    try:
        return _docker_digest(client, reference) is not None
    finally:
        client.close()


def _from_docker(reference: str) -> Unpacked | None:
    """Return an image that Docker's engine has, or None."""
    client = _client()
    if client is None:
        return None
    try:
        digest = _docker_digest(client, reference)
        if digest is None:
            return None
        if found := stored(digest):
            _name(reference, digest)
            return found
        with filling(reference) as into:
            if found := stored(digest):  # by another process
                _name(reference, digest)
                return found
            with docker_engine.translated(reference), (into / _ARCHIVE).open("wb") as written:
                for chunk in client.images.get(digest).save():
                    written.write(chunk)
            return _store(into / _ARCHIVE, into, reference, digest)
    finally:
        client.close()


def _pulled(reference: str) -> Unpacked:
    from lab.image import buildah

    if not buildah.is_installed():
        raise InputError(f"image {reference!r} does not exist on this host, and {_HOW}")
    _refuse_without_network(reference)
    with filling(reference) as into:
        try:
            buildah.pull(reference, into / _ARCHIVE)
        except EnvironmentBroken as error:
            raise InputError(
                f"image {reference!r} does not exist on this host and cannot be pulled ({error}); "
                "load it with `lab setup --load FILE`, or correct `image`"
            ) from error
        return _store(into / _ARCHIVE, into, reference)


@contextmanager
def filling(reference: str) -> Iterator[Path]:
    """Yield a directory to unpack an image in, one process at a time; it is removed unless it was renamed.

    Raises `EnvironmentBroken` if the disk is full, or the directory cannot be written or have programs.
    """
    images = images_directory()
    try:
        if os.statvfs(images).f_flag & os.ST_NOEXEC:
            raise EnvironmentBroken(
                f"{images} is on a file system mounted noexec, where no program of {reference} can run: "
                "mount it with `exec`"
            )
        with _one_at_a_time(), _partial(images) as into:
            yield into
    except OSError as error:
        raise _refused(reference, error) from error


def _store(archive: Path, into: Path, reference: str, digest: str | None = None) -> Unpacked:
    """Unpack an archive into `into`, give that directory its final name, and note the image's name.

    Without a digest, it is that of the image's configuration, as Docker has it.
    """
    try:
        (into / _ROOTFS).mkdir(mode=0o755)
        configuration = unpack(archive, into / _ROOTFS, into)
        digest = digest or names_and_digest(archive)[1]
        (into / _ARCHIVE).unlink(missing_ok=True)
        _keep(into, reference, digest, configuration)
    except OSError as error:
        raise _refused(reference, error) from error
    found = stored(digest)
    assert found is not None
    return found


def _keep(into: Path, reference: str, digest: str, configuration: Mapping[str, Any]) -> None:
    """Give a directory with a whole root file system its final name, and note the image's name."""
    (into / _CONFIG).write_text(json.dumps(configuration))
    if stored(digest) is None:
        into.rename(_directory(digest))
    _name(reference, digest)


def _name(reference: str, digest: str) -> None:
    """Note the digest of a name."""
    names = images_directory() / _NAMES
    names.mkdir(mode=0o700, exist_ok=True)
    fresh = names / f".{os.getpid()}"
    fresh.write_text(digest)
    fresh.rename(names / quote(reference, safe=""))


def _named(reference: str) -> Unpacked | None:
    """Return the image that was unpacked under a name, or None."""
    try:
        digest = (images_directory() / _NAMES / quote(reference, safe="")).read_text()
    except FileNotFoundError:
        return None
    return stored(digest)


def _refused(reference: str, error: OSError) -> EnvironmentBroken:
    where = data_directory() / "images"
    if error.errno == errno.ENOSPC:
        return EnvironmentBroken(f"the disk is full: unpacking {reference} below {where} takes about 1 GB")
    return EnvironmentBroken(f"image {reference} cannot be unpacked below {where}: {error.strerror or error}")


def stored(digest: str) -> Unpacked | None:
    """Return the unpacked image with a digest, or None."""
    directory = _directory(digest)
    try:
        configuration = json.loads((directory / _CONFIG).read_text())
    except FileNotFoundError:
        return None
    return Unpacked(directory / _ROOTFS, digest, ImageConfig.read(configuration.get("config") or {}))


def images_directory() -> Path:
    """Return the directory of the unpacked images, created if it is missing."""
    return private(data_directory() / "images")


def _directory(digest: str) -> Path:
    return images_directory() / re.sub(r"[^\w-]", "-", digest)


@contextmanager
def _one_at_a_time() -> Iterator[Path]:
    """Yield the directory of images, locked; remove what killed processes left in it."""
    images = images_directory()
    descriptor = os.open(images, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in images.glob(f"{_PARTIAL}*"):
            shutil.rmtree(left)
        yield images
    finally:
        os.close(descriptor)


@contextmanager
def _partial(images: Path) -> Iterator[Path]:
    """Yield a directory to fill, removed unless it was renamed."""
    into = images / f"{_PARTIAL}{os.getpid()}"
    into.mkdir(mode=0o700)
    try:
        yield into
    finally:
        shutil.rmtree(into, ignore_errors=True)
