"""The lab's images: a directory with a Dockerfile each, built when somebody needs one and when an input changed.

Nodes have one image per OpenVPN version; the others are for what only some need: a directory of its own is all that it
takes to have one more for topologies.
"""

from lab.image.build import ensure, ensure_image, provide, remove_all
from lab.image.recipe import FAMILY, NODE_IMAGE, VERSIONS, Recipe, beside, is_ours, repository, tag

__all__ = [
    "FAMILY",
    "NODE_IMAGE",
    "VERSIONS",
    "Recipe",
    "beside",
    "ensure",
    "ensure_image",
    "is_ours",
    "provide",
    "remove_all",
    "repository",
    "tag",
]
