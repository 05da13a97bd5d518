"""What an image is made of, as data, and the digest that names it. Pure: no Docker, no network."""

import hashlib
import json
from pathlib import Path

from lab.errors import InputError
from lab.resources import images_dir

FAMILY = "openvpn-routing-lab/"
"""What the names of all the lab's images begin with."""

NODE_IMAGE = f"{FAMILY}node"
BASE_IMAGE = f"{FAMILY}base:trixie"

VERSIONS: tuple[str, ...] = ("2.6", "2.7")
"""The OpenVPN versions there is an image for."""

IMAGE_LABEL = "openvpn-routing-lab.image"
"""On every image of the lab; the value says which: `base` or `node`."""

RECIPE_LABEL = "openvpn-routing-lab.recipe"
"""On the base image: the digest of the recipe it was made by."""

SUITE = "trixie"
OFFICIAL_BASE = "debian:trixie-slim"

# What Debian's own slim image leaves out as well.
UNREAD = ("doc", "man", "info", "locale", "lintian", "bug")

MMDEBSTRAP = (
    "mmdebstrap",
    "--variant=minbase",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNREAD),
    SUITE,
)
"""Followed by the tar file to write."""

DEBOOTSTRAP = ("debootstrap", "--variant=minbase", SUITE)
"""Followed by the directory to fill."""


def build_args(version: str) -> dict[str, str]:
    """The Dockerfile's arguments for one OpenVPN version."""
    if version not in VERSIONS:
        raise InputError(f"no image for OpenVPN {version!r}: one of {', '.join(VERSIONS)} is wanted")
    return {"BASE": BASE_IMAGE, "OPENVPN": version}


def base_digest() -> str:
    """Twelve hex digits that change with the way the base image is made."""
    return _digest([OFFICIAL_BASE, MMDEBSTRAP, DEBOOTSTRAP])


def node_digest(version: str, context: Path) -> str:
    """Twelve hex digits that change with any input: files and their modes, arguments, the base's recipe."""
    files = [
        [path.relative_to(context).as_posix(), bool(path.stat().st_mode & 0o100), _sha256(path.read_bytes())]
        for path in sorted(context.rglob("*"))
        if path.is_file()
    ]
    return _digest([files, build_args(version), base_digest()])


def tag(version: str) -> str:
    """The full reference of the image for an OpenVPN version, `openvpn-routing-lab/node:2.6-0123456789ab`."""
    return f"{NODE_IMAGE}:{version}-{node_digest(version, images_dir())}"


def alias(version: str) -> str:
    """The name that stays the same and moves to the newest build, `openvpn-routing-lab/node:2.6`."""
    return f"{NODE_IMAGE}:{version}"


def _digest(inputs: list[object]) -> str:
    return _sha256(json.dumps(inputs, sort_keys=True).encode())[:12]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
