"""The lab's images: a directory with a Dockerfile each, built on demand and when an input has changed.

There is one image for nodes per OpenVPN version; the other images are for nodes of some topologies only. A new
directory below `images/` adds one.
"""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.image.base import ToolsMissing
    from lab.image.build import ensure, ensure_base, ensure_image, provide, remove_all
    from lab.image.recipe import (
        FAMILY,
        NODE_IMAGE,
        OLD_VERSIONS,
        VERSIONS,
        Recipe,
        is_ours,
        repository,
        tag,
        topology_images,
    )
    from lab.image.store import remove_everything

__all__ = [
    "FAMILY",
    "NODE_IMAGE",
    "OLD_VERSIONS",
    "VERSIONS",
    "Recipe",
    "ToolsMissing",
    "ensure",
    "ensure_base",
    "ensure_image",
    "is_ours",
    "provide",
    "remove_all",
    "remove_everything",
    "repository",
    "tag",
    "topology_images",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.image.base": ("ToolsMissing",),
            "lab.image.build": ("ensure", "ensure_base", "ensure_image", "provide", "remove_all"),
            "lab.image.store": ("remove_everything",),
            "lab.image.recipe": (
                "FAMILY",
                "NODE_IMAGE",
                "OLD_VERSIONS",
                "VERSIONS",
                "Recipe",
                "topology_images",
                "is_ours",
                "repository",
                "tag",
            ),
        },
    )
