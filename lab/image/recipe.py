"""What an image is made of, as data, and the digest that names it. Pure: no Docker, no network."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.core.errors import InputError

FAMILY = "openvpn-routing-lab/"
"""What the names of all the lab's images begin with."""

NODE_IMAGE = f"{FAMILY}node"
BASE_IMAGE = f"{FAMILY}base:trixie"

VERSIONS: tuple[str, ...] = ("2.6", "2.7")
"""The OpenVPN versions there is an image for."""

_NOT_FOR_NODES = {"node", "browser", "vm"}
"""The node's own, which goes by OpenVPN's version, and what no topology uses."""

IMAGE_LABEL = "openvpn-routing-lab.image"
"""On every image of the lab; the value says which: `base`, `node`, …"""

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


def images_dir() -> Path:
    """The build context of the node image."""
    return (Path(__file__).parents[1] / "images").resolve()


@dataclass(frozen=True)
class Recipe:
    """An image of the lab besides the base: a directory below `images`, and the arguments of its Dockerfile.

    Two images of one recipe have the same name, and any change of an input makes another.
    """

    name: str
    """The directory's name and, behind the family's, the image's."""
    about: str
    """What is in it, in a few words."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Besides the base, which all have."""
    variant: str = ""
    """Stands before the digest in the tag."""

    @property
    def context(self) -> Path:
        """The build context."""
        return images_dir() / self.name

    @property
    def build_args(self) -> Mapping[str, str]:
        """All of the Dockerfile's arguments."""
        return {"BASE": BASE_IMAGE, **self.arguments}

    @property
    def reference(self) -> str:
        """The full reference, `openvpn-routing-lab/node:2.6-0123456789ab`."""
        digest = digest_of(self.context, self.build_args)
        return f"{FAMILY}{self.name}:{'-'.join(filter(None, (self.variant, digest)))}"


def node(version: str) -> Recipe:
    """A node's image for one OpenVPN version; raises `InputError` for one there is none of."""
    if version not in VERSIONS:
        raise InputError(f"no image for OpenVPN {version!r}: one of {', '.join(VERSIONS)} is wanted")
    return Recipe("node", f"OpenVPN {version}, FRR, BIRD", {"OPENVPN": version}, variant=version)


def beside() -> tuple[str, ...]:
    """The names of the images that a topology may use beside the node's: each is a directory."""
    there = {path.parent.name for path in images_dir().glob("*/Dockerfile")}
    return tuple(sorted(there - _NOT_FOR_NODES))


def for_topologies(name: str) -> Recipe:
    """An image that a topology uses beside the node's; raises `InputError` for one there is none of."""
    if name not in beside():
        raise InputError(f"no image {FAMILY}{name}: one of {', '.join(('node', *beside()))} is wanted")
    first = (images_dir() / name / "Dockerfile").read_text().partition("\n")[0]
    return Recipe(name, first.removeprefix("#").partition(":")[0].strip())


def is_ours(image: str) -> bool:
    """Whether the image of a node, with or without a tag, is one that the lab builds."""
    name = image.partition(":")[0]
    return name == NODE_IMAGE or name in map(repository, beside())


def base_digest() -> str:
    """Twelve hex digits that change with the way the base image is made."""
    return _digest([OFFICIAL_BASE, MMDEBSTRAP, DEBOOTSTRAP])


def digest_of(context: Path, build_args: Mapping[str, str]) -> str:
    """Twelve hex digits that change with any input: files and their modes, arguments, the base's recipe."""
    files = [
        [path.relative_to(context).as_posix(), bool(path.stat().st_mode & 0o100), _sha256(path.read_bytes())]
        for path in sorted(context.rglob("*"))
        if path.is_file()
    ]
    return _digest([files, dict(build_args), base_digest()])


def tag(version: str) -> str:
    """The full reference of a node's image for an OpenVPN version."""
    return node(version).reference


def repository(name: str) -> str:
    """What a topology calls an image, `openvpn-routing-lab/servers`; its tag `latest` moves to the newest build."""
    return f"{FAMILY}{name}"


def alias(version: str) -> str:
    """The name that stays the same and moves to the newest build, `openvpn-routing-lab/node:2.6`."""
    return f"{NODE_IMAGE}:{version}"


def _digest(inputs: list[object]) -> str:
    return _sha256(json.dumps(inputs, sort_keys=True).encode())[:12]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
