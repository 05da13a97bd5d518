"""Trials that cannot show a failure: something else than the failure explains what they see."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.check.advised.paths import path_mtu
from lab.check.advised.scene import Scene
from lab.check.advised.undisturbed import stale_routes
from lab.configs.openvpn.configuration import parse
from lab.engine.base import ExecResult

INNER = ip_address("10.8.0.1")
BEHIND = ip_network("10.2.0.0/24")
DELETED = "MULTI: Deleting stale route for address '10.2.0.0/24'"


def node(run: Callable[[Sequence[str]], bool]) -> Any:
    """A node whose commands end with 0 if `run` says so."""
    return SimpleNamespace(name="n", exec=lambda *argv: ExecResult("n", argv, 0 if run(argv) else 1, "", ""))


def transfers(*completes: bool) -> Scene:
    """A tunnel whose TCP transfers complete or stall, one after the other."""
    results = iter(completes)
    up = SimpleNamespace(
        inner=lambda end: INNER,
        tunnel_up=True,
        server_node=node(lambda argv: True),
        client_node=node(lambda argv: next(results)),
    )
    return cast("Scene", up)


@pytest.mark.parametrize(
    ("completes", "happened"),
    [
        ((True,), False),
        ((False, False), None),  # small segments stall too: a busy host, or a tunnel that restarts
        ((False, True, True), False),
        ((False, True, False), True),
    ],
)
def test_path_is_narrow_only_if_small_segments_pass(completes: tuple[bool, ...], happened: bool | None) -> None:
    assert path_mtu(transfers(*completes), "client").happened is happened


def checked(*lines: str, answers: bool) -> Scene:
    """A server after four checks for stale routes, whose log has these lines as well."""
    log = ["MULTI: Checking stale routes"] * 4 + list(lines)

    def log_lines(text: str, since: int = 0) -> list[str]:
        return [line for line in log if text in line]

    server = SimpleNamespace(log_size=lambda: 0, log_lines=log_lines, log=lambda: "")
    scene = SimpleNamespace(
        server=parse("server 10.8.0.0 255.255.255.0\nstale-routes-check 5\nverb 7\n", PurePosixPath("server.conf")),
        server_node=node(lambda argv: True),
        tunnel=SimpleNamespace(server=server),
        inner_routes=[SimpleNamespace(network=BEHIND)],
        behind_client={BEHIND: ip_address("10.2.0.1")},
        routes={BEHIND: None},
        answers=lambda end, address, count: answers,
    )
    return cast("Scene", scene)


def test_inner_route_is_stale_only_if_the_log_has_its_deletion() -> None:
    assert stale_routes(checked(DELETED, answers=False), "server").happened is True
    assert stale_routes(checked(answers=False), "server").happened is None  # no data passes for another reason
    learned = DELETED.replace("10.2.0.0/24", "fd00:8::1000")
    assert stale_routes(checked(learned, answers=False), "server").happened is None
    assert stale_routes(checked(DELETED, answers=True), "server").happened is False
