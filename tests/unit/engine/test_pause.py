"""Retries of a pause."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from lab.core.errors import LabError
from lab.engine import Instance, NodeState
from lab.engine.docker.engine import DockerEngine

NODE = Instance("some", "hq", "clab-some-hq", "image", NodeState.RUNNING, Path("/nowhere"))


class Api:
    """A client that refuses to pause a number of times."""

    def __init__(self, times: int, why: str) -> None:
        self.left, self.why, self.asked = times, why, 0

    def pause(self, container: str) -> None:
        self.asked += 1
        if self.asked <= self.left:
            raise APIError("500 Server Error", explanation=f"{container}: {self.why}")


def engine(api: Api) -> DockerEngine:
    client: Any = SimpleNamespace(api=api)
    return DockerEngine(client)


def test_pause_retries_a_busy_container() -> None:
    api = Api(3, "OCI runtime pause failed: unable to freeze: unknown")
    engine(api).pause(NODE)
    assert api.asked == 4


@pytest.mark.parametrize(("why", "asked"), [("unable to freeze", 10), ("is already paused", 1)])
def test_pause_gives_up_after_10_attempts_or_on_another_error(why: str, asked: int) -> None:
    api = Api(100, why)
    with pytest.raises(LabError, match=why):
        engine(api).pause(NODE)
    assert api.asked == asked
