"""One cause at each door: `lab check`, `wait_ready`, and an expectation in pytest name it in their messages."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from tests.helpers.router_faults import frr_lines
from tests.helpers.why import expect_up, failure

pytestmark = [pytest.mark.docker, pytest.mark.topology("pair.clab.yml", openvpn="2.7")]


def one_family(lab: Lab) -> AbstractContextManager[None]:
    """Leave out `iroute-ipv6`."""
    return lab.tunnel("branch", "hq").configured(iroute=["ipv4"])


@contextmanager
def not_activated(lab: Lab) -> Iterator[None]:
    """Leave out `activate` for IPv6 at hq."""
    peer = lab.tunnel("branch", "hq").tunnel.client_ipv4.ip
    family = ("router bgp 65001", "address-family ipv6 unicast")
    on = [*family, f"no neighbor {peer} activate", "exit-address-family"]
    # FRR forgets the neighbour's policy of the family as well.
    policy = f"neighbor {peer} route-map FROM-PEERS in"
    off = [*family, f"neighbor {peer} activate", policy, "exit-address-family"]
    with frr_lines(lab.router("hq"), on, off):
        lab.router("hq").expect_no_route(ip_network("2001:db8:2::/64"))
        yield


def wrong_certificate(lab: Lab) -> AbstractContextManager[None]:
    """Give the client a certificate for servers."""
    tunnel = lab.tunnel("branch", "hq")
    return tunnel.trusting(client=tunnel.authority.issue("branch", "server"))


@dataclass(frozen=True)
class Case:
    """A fault, the symptom that each door sees, and the cause that it must name."""

    fault: Callable[[Lab], AbstractContextManager[None]]
    cause: str
    checks: str
    """The expectation of `lab check`."""
    expect: Callable[[Lab], object]
    """The expectation in pytest."""
    is_ready: bool = False
    """Tunnels, sessions and routes are there, which is all that `wait_ready` waits for."""


CASES = {
    "no-iroute-ipv6": Case(
        one_family,
        "branch has an inner route for IPv4 (0.0.0.0/0) and none for IPv6; add `iroute-ipv6 ::/0` to ",
        "{from: hq-lan, reaches: branch-lan}",
        lambda lab: lab.host("hq-lan").expect_reaches(lab.host("branch-lan").address("ipv6"), within=2),
        is_ready=True,
    ),
    "no-activate": Case(
        not_activated,
        "add `neighbor 10.255.0.2 activate` to `address-family ipv6 unicast` of `router bgp 65001`",
        '{node: hq, route: "2001:db8:2::/64"}',
        lambda lab: lab.router("hq").expect_route(lab.plans["branch"].networks, within=2),
    ),
    "servers-certificate": Case(
        wrong_certificate,
        "give branch a client's certificate (extended key usage `clientAuth`), as `remote-cert-tls` demands",
        "{tunnel: branch-hq}",
        lambda lab: lab.tunnel("branch", "hq").wait_connected(within=2),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_every_door_names_the_cause(lab: Lab, tmp_path: Path, case: Case) -> None:
    with case.fault(lab):
        if case.is_ready:
            lab.wait_ready()
        else:
            message = failure(lambda: lab.wait_ready(within=10))
            assert "; cause: " in message
            assert case.cause in message
        message = failure(lambda: case.expect(lab))
        assert "; cause: " in message
        assert case.cause in message
        assert case.cause in checked(lab, case.checks, tmp_path)
    expect_up(lab, lab.tunnel("branch", "hq"))
    lab.wait_ready()
    for family in FAMILIES:
        lab.host("hq-lan").expect_reaches(lab.host("branch-lan").address(family))


def checked(lab: Lab, expectation: str, place: Path) -> str:
    """Return what `lab check` prints about an expectation that does not hold."""
    (place / "one.checks.yml").write_text(f"within: 3\nexpect:\n  - {expectation}\n")
    environ = {key: value for key, value in os.environ.items() if key not in ("LAB_NAME", "LAB_DEBUG")}
    command = [sys.executable, "-m", "lab.cli", "check", "--lab", lab.name, "--checks", "one.checks.yml"]
    result = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout
