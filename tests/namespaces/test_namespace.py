"""Work inside a network namespace, in a thread of its own."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.engine import Namespace
from tests.helpers.sandbox import Sandbox, threads

Make = Callable[[], Sandbox]


def here() -> Path:
    return Path("/proc/thread-self/ns/net").readlink()


def test_work_runs_inside_and_the_caller_stays_outside(sandbox: Make) -> None:
    one, other = sandbox(), sandbox()
    outside = here()
    inside = {box.namespace.run(here) for box in (one, other)}
    assert inside == {Path(box.namespace.path).readlink() for box in (one, other)}
    assert len(inside) == 2
    assert outside == here()
    assert outside not in inside
    assert not threads("netns-")


def test_socket_stays_in_the_namespace_it_was_opened_in(sandbox: Make) -> None:
    box = sandbox()
    opened = box.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with opened, pytest.raises(OSError, match="unreachable"):
        opened.sendto(b"x", ("127.0.0.1", 9))  # `lo` is down in a new namespace


def test_exception_of_the_work_is_raised_to_the_caller(sandbox: Make) -> None:
    def fail() -> None:
        raise KeyError("of the work")

    with pytest.raises(KeyError, match="of the work"):
        sandbox().namespace.run(fail)


def test_namespace_of_an_ended_process_is_named(sandbox: Make) -> None:
    box = sandbox()
    box.close()
    with pytest.raises(EnvironmentBroken, match=f"/proc/{box.pid}/ns/net.*the node is gone"):
        box.namespace.run(here)


def test_work_does_not_run_outside_if_the_namespace_cannot_be_entered() -> None:
    done: list[Path] = []
    with pytest.raises(EnvironmentBroken):
        Namespace(0).run(lambda: done.append(here()))
    assert not done
