"""Unpack an image archive into a root directory, as `docker save` and `buildah push docker-archive:` write it.

The format is Docker's: `manifest.json` names the configuration and the layers, each a tar file. A layer removes a file
of those below by an empty one with the prefix `.wh.` (OCI image specification, "Whiteouts").
"""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lab.core.errors import EnvironmentBroken, InputError

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


def unpack(archive: Path, rootfs: Path, scratch: Path) -> Mapping[str, Any]:
    """Unpack the only image of an archive into an empty directory; return its configuration.

    Raises `EnvironmentBroken` if the archive is not one, or if it cannot be unpacked.
    """
    try:
        with tarfile.open(archive) as outer:
            (manifest,) = json.load(_member(outer, "manifest.json"))
            configuration: Mapping[str, Any] = json.load(_member(outer, manifest["Config"]))
            for name in manifest["Layers"]:
                layer = scratch / "layer.tar"
                with layer.open("wb") as written:
                    shutil.copyfileobj(_member(outer, name), written, 1 << 20)
                _apply(layer, rootfs)
                layer.unlink()
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise EnvironmentBroken(f"the image archive {archive} cannot be read: {error}") from error
    return configuration


def names_and_digest(archive: Path) -> tuple[tuple[str, ...], str]:
    """Return the names of the only image of an archive, and the digest of its configuration, Docker's id of an image.

    Raises `InputError` if the file is not such an archive.
    """
    try:
        with tarfile.open(archive) as outer:
            (manifest,) = json.load(_member(outer, "manifest.json"))
            digest = hashlib.sha256(_member(outer, manifest["Config"]).read()).hexdigest()
            return tuple(manifest.get("RepoTags") or ()), f"sha256:{digest}"
    except OSError as error:
        raise InputError(f"the image archive {archive} cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise InputError(
            f"{archive} is not an archive of one image: write one with `docker save IMAGE -o FILE` ({error})"
        ) from error


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.getmember(name)
    if found.issym():  # `docker save` of some versions stores a layer that two images share once
        found = archive.getmember(str(_resolved(PurePosixPath(name).parent / found.linkname)))
    file = archive.extractfile(found)
    if file is None:
        raise KeyError(f"{name} is not a file")
    return file


def _resolved(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _apply(layer: Path, rootfs: Path) -> None:
    """Remove what a layer's whiteouts name, then unpack the layer."""
    with tarfile.open(layer) as opened:
        names = [PurePosixPath(member.name) for member in opened]
    for name in names:
        if name.name == _OPAQUE:
            for entry in _listed(rootfs, name.parent):
                _remove(entry)
        elif name.name.startswith(_WHITEOUT):
            parent = _inside(rootfs, name.parent)
            if parent is not None:
                _remove(parent / name.name.removeprefix(_WHITEOUT))
    # tar(1) keeps file capabilities and modes, and follows no link out of the directory.
    options = ["--numeric-owner", "--same-permissions", "--delay-directory-restore", "--xattrs", "--xattrs-include=*"]
    # A user may create no device files (mknod(2)); a node gets its own anyway.
    left_out = ["--anchored", "--exclude=dev/*", "--exclude=./dev/*", "--no-anchored", f"--exclude={_WHITEOUT}*"]
    done = subprocess.run(
        ["tar", "-x", "-f", str(layer), "-C", str(rootfs), *options, *left_out],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        why = (done.stderr.strip() or "no reason given").splitlines()[0]
        if os.strerror(errno.ENOSPC) in done.stderr:
            raise OSError(errno.ENOSPC, why)
        raise EnvironmentBroken(f"an image's layer cannot be unpacked into {rootfs}: {why}")


def _inside(rootfs: Path, directory: PurePosixPath) -> Path | None:
    """Return a directory of the image; None if it does not exist, or if a link is on the way to it."""
    path = rootfs
    for part in directory.parts:
        if part in ("/", "."):
            continue
        path = path / part
        if part == ".." or path.is_symlink() or not path.is_dir():
            return None
    return path


def _listed(rootfs: Path, directory: PurePosixPath) -> list[Path]:
    found = _inside(rootfs, directory)
    return [] if found is None else list(found.iterdir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
