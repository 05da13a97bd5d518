"""The image of a node: one Dockerfile, one image per OpenVPN version, rebuilt when an input changed."""

from lab.image.build import ensure, remove_all
from lab.image.recipe import NODE_IMAGE, VERSIONS, tag

__all__ = ["NODE_IMAGE", "VERSIONS", "ensure", "remove_all", "tag"]
