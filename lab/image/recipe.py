"""Recipes of the images, and the digests that name them. No Docker, no network."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.core.errors import InputError

FAMILY = "openvpn-routing-lab/"
"""Prefix of the names of all the lab's images."""

NODE_IMAGE = f"{FAMILY}node"
OVS_IMAGE = f"{FAMILY}ovs"
"""The image of nodes of kind `ovs-bridge`."""
BASE_IMAGE = f"{FAMILY}base:trixie"

VERSIONS: tuple[str, ...] = ("2.6", "2.7")
"""OpenVPN versions on which the lab's own configurations are tested."""

OLD_VERSIONS: tuple[str, ...] = ("2.5", "2.6.3")
"""More OpenVPN versions that have an image, for files written for them: of Debian bullseye and bookworm."""

_NOT_FOR_TOPOLOGIES = {"node", "browser", "vm"}
"""Images other than those for topologies: the node image, which exists per OpenVPN version, and the tests' own."""

IMAGE_LABEL = "openvpn-routing-lab.image"
"""Label of every image of the lab; its value is `base`, `node`, …"""

RECIPE_LABEL = "openvpn-routing-lab.recipe"
"""Label of the base image: the digest of its recipe."""

SUITE = "trixie"
OFFICIAL_BASE = "debian:trixie-slim"

# Debian's own slim image leaves out the same directories.
EXCLUDED = ("doc", "man", "info", "locale", "lintian", "bug")

MMDEBSTRAP = (
    "mmdebstrap",
    "--variant=minbase",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED),
    SUITE,
)
"""The last argument is the tar file to write."""

DEBOOTSTRAP = ("debootstrap", "--variant=minbase", SUITE)
"""The last argument is the directory to fill."""


def images_dir() -> Path:
    """Return the directory of the build contexts."""
    return (Path(__file__).parents[1] / "images").resolve()


@dataclass(frozen=True)
class Recipe:
    """An image of the lab other than the base: a directory below `images`, and the arguments of its Dockerfile.

    The name changes with any input: two images with the same name have the same recipe.
    """

    name: str
    """The directory's name; the image is named after it."""
    about: str
    """Contents, in a few words."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments other than the base, which every image has."""
    variant: str = ""
    """Precedes the digest in the tag."""

    @property
    def context(self) -> Path:
        """Return the build context."""
        return images_dir() / self.name

    @property
    def build_args(self) -> Mapping[str, str]:
        """Return all of the Dockerfile's arguments."""
        return {"BASE": BASE_IMAGE, **self.arguments}

    @property
    def reference(self) -> str:
        """Return the full reference, e.g. `openvpn-routing-lab/node:2.6-0123456789ab`."""
        digest = digest_of(self.context, self.build_args)
        return f"{FAMILY}{self.name}:{'-'.join(filter(None, (self.variant, digest)))}"


def node(version: str) -> Recipe:
    """Return the recipe of the node image of an OpenVPN version; raises `InputError` if there is none."""
    known = (*VERSIONS, *OLD_VERSIONS)
    if version not in known:
        raise InputError(f"OpenVPN {version!r} has no image: use one of {', '.join(known)}")
    return Recipe("node", f"OpenVPN {version}, FRR, BIRD", {"OPENVPN": version}, variant=version)


def topology_images() -> tuple[str, ...]:
    """Return the names of the images that a topology can use besides the node image."""
    there = {path.parent.name for path in images_dir().glob("*/Dockerfile")}
    return tuple(sorted(there - _NOT_FOR_TOPOLOGIES))


def for_topologies(name: str) -> Recipe:
    """Return the recipe of an image for topologies; raises `InputError` if there is none."""
    if name not in topology_images():
        raise InputError(f"image {FAMILY}{name} does not exist: use one of {', '.join(('node', *topology_images()))}")
    first = (images_dir() / name / "Dockerfile").read_text().partition("\n")[0]
    return Recipe(name, first.removeprefix("#").partition(":")[0].strip())


def of(image: str) -> Recipe | None:
    """Return the recipe of an image that a topology names, None for a foreign image or a build of the lab's by digest.

    Raises `InputError` if the lab has no image of this name.
    """
    name, _, version = image.removeprefix(FAMILY).partition(":")
    if not image.startswith(FAMILY) or "@" in image:
        return None
    if name == "node":
        return node(version)
    return for_topologies(name) if version in ("", "latest") else None


def is_ours(image: str) -> bool:
    """Return whether the lab builds an image, named with or without a tag."""
    name = image.partition(":")[0]
    return name == NODE_IMAGE or name in map(repository, topology_images())


def short_name(reference: str) -> str:
    """Return the name of one of the lab's images without the registry that Podman puts before it."""
    registry, found, name = reference.partition(f"/{FAMILY}")
    return f"{FAMILY}{name}" if found and "/" not in registry else reference


def base_digest() -> str:
    """Return twelve hex digits that change with the base image's recipe."""
    return _digest([OFFICIAL_BASE, MMDEBSTRAP, DEBOOTSTRAP])


def digest_of(context: Path, build_args: Mapping[str, str]) -> str:
    """Return twelve hex digits that change with any input: files, their modes, arguments, the base image."""
    files = [
        [path.relative_to(context).as_posix(), bool(path.stat().st_mode & 0o100), _sha256(path.read_bytes())]
        for path in sorted(context.rglob("*"))
        if path.is_file()
    ]
    return _digest([files, dict(build_args), base_digest()])


def tag(version: str) -> str:
    """Return the full reference of the node image of an OpenVPN version."""
    return node(version).reference


def repository(name: str) -> str:
    """Return an image's name in topologies, `openvpn-routing-lab/servers`; tag `latest` is the newest build."""
    return f"{FAMILY}{name}"


def alias(version: str) -> str:
    """Return the tag that moves to the newest build, `openvpn-routing-lab/node:2.6`."""
    return f"{NODE_IMAGE}:{version}"


def _digest(inputs: list[object]) -> str:
    return _sha256(json.dumps(inputs, sort_keys=True).encode())[:12]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
