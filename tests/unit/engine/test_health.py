"""The health check of a node without a daemon: whose settings count, and what results lead to."""

from typing import Any

import pytest

from lab.engine.crun.health import Check, Health, check_of
from lab.image.store import ImageConfig
from lab.topology import Healthcheck, Node

OF_IMAGE = {"Healthcheck": {"Test": ["CMD", "image"], "Interval": 5_000_000_000, "Retries": 9}}


def checked(own: dict[str, Any] | None, image: dict[str, Any]) -> Check | None:
    node = Node(name="one", kind="linux", image="i", healthcheck=None if own is None else Healthcheck(**own))
    return check_of(node, ImageConfig.read(image))


@pytest.mark.parametrize(
    ("own", "image", "expected"),
    [
        (None, {}, None),
        (None, OF_IMAGE, Check(("image",), 5, 30, 0, 9)),
        ({"test": ("CMD", "own", "-x")}, {}, Check(("own", "-x"), 30, 30, 0, 3)),
        ({"test": ("CMD", "own"), "interval": 2, "retries": 0}, OF_IMAGE, Check(("own",), 2, 30, 0, 9)),
        ({"timeout": 4, "start_period": 7}, OF_IMAGE, Check(("image",), 5, 4, 7, 9)),
        ({"test": ("CMD-SHELL", "a && b")}, {}, Check(("/bin/sh", "-c", "a && b"), 30, 30, 0, 3)),
        ({"test": ("NONE",)}, OF_IMAGE, None),
        ({"interval": 2}, {}, None),
    ],
)
def test_check_is_the_topologys_then_the_images_then_dockers(
    own: dict[str, Any] | None, image: dict[str, Any], expected: Check | None
) -> None:
    assert checked(own, image) == expected


@pytest.mark.parametrize(
    ("results", "states"),
    [
        ([(1, True)], ["healthy"]),
        ([(1, False), (2, False), (3, False)], ["starting", "starting", "starting"]),
        ([(11, False), (12, False)], ["starting", "unhealthy"]),
        ([(9, False), (11, False), (12, False)], ["starting", "starting", "unhealthy"]),
        ([(1, True), (2, False), (3, False)], ["healthy", "healthy", "unhealthy"]),
        ([(1, True), (2, False), (3, True), (4, False)], ["healthy", "healthy", "healthy", "healthy"]),
        ([(11, False), (12, False), (13, False), (14, True)], ["starting", "unhealthy", "unhealthy", "healthy"]),
    ],
)
def test_results_lead_to_states(results: list[tuple[float, bool]], states: list[str]) -> None:
    """Two failures in a row, after ten seconds or after a success, make a node unhealthy."""
    health = Health(Check(("true",), interval=1, timeout=1, start_period=10, retries=2))
    assert [health.note(passed=passed, age=age) for age, passed in results] == states
