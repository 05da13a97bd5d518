"""The pytest plugin that prints the images of the labs of the collected tests, each in a line `image NAME`.

    pytest --collect-only -qq -p lab.testing.images

They are those of the topologies in markers, and the node image of each OpenVPN version that tests run with.
"""

from collections.abc import Iterator

import pytest

from lab.image import NODE_IMAGE
from lab.render.node_spec import images_of
from lab.testing.plugin import Wanted


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print the images."""
    writer = session.config.get_terminal_writer()
    for image in dict.fromkeys(image for item in session.items for image in _images(item)):
        writer.line(f"image {image}")


def _images(item: pytest.Item) -> Iterator[str]:
    version: str | None = item.callspec.params.get("lab_openvpn") if hasattr(item, "callspec") else None
    if version:
        yield f"{NODE_IMAGE}:{version}"
    marker = item.get_closest_marker("topology")
    if marker is not None:
        yield from images_of(Wanted.of(item.path, *marker.args, version=version, **marker.kwargs).topology)
