"""The lab's images: a directory with a Dockerfile each, built when somebody needs one and when an input changed.

Nodes have one image per OpenVPN version; the others are for what only some need.
"""

from lab.image.build import ensure, ensure_image, remove_all
from lab.image.recipe import NODE_IMAGE, VERSIONS, Recipe, tag

__all__ = ["NODE_IMAGE", "VERSIONS", "Recipe", "ensure", "ensure_image", "remove_all", "tag"]
