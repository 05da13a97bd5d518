"""Why a tunnel that is up loses packets: each cause produced on purpose, named, and undone."""

import struct
import time

import pytest

from lab.core.prefixes import FAMILIES
from lab.runtime.lab import Lab
from lab.topology import Family
from lab.tunnel import RunningTunnel
from lab.why.inner import Header, lost_in_tunnel
from tests.helpers.sites import Site
from tests.helpers.tunnels import site
from tests.helpers.underlay import Underlay
from tests.helpers.why import dropping, expect_loss, expect_no_loss, failure, ran

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.7")]

two_sites = pytest.mark.topology("../silent/narrow.clab.yml", tunnel={"transport": "udp"})
shared = pytest.mark.topology("tap-hub", tunnel={"mode": "shared-iroute", "transport": "tcp"})

NARROW = 1300
SCRIPT = "hq:/etc/openvpn/server/branch-hq/client-connect"
LINES = {
    "ipv4": ("`iroute 10.2.0.0 255.255.255.0`", "`iroute 0.0.0.0 0.0.0.0`"),
    "ipv6": ("`iroute-ipv6 2001:db8:2::/64`", "`iroute-ipv6 ::/0`"),
}
"""The lines that give the client its network, and everything."""


def expect_routed(hq: Site, branch: Site) -> None:
    for here, there in ((hq, branch), (branch, hq)):
        here.router.expect_route(there.router.plan.networks, via=here.device)


def expect_everything_passes(lab: Lab, hq: Site, branch: Site) -> None:
    lab.wait_ready()
    for family in FAMILIES:
        for here, there in ((hq, branch), (branch, hq)):
            expect_no_loss(lab, here, there, family)


def unanswered(here: Site, there: Site) -> str:
    """Return the message of a failed expectation that one host reaches the other."""
    return failure(lambda: here.host.expect_reaches(there.host.address("ipv4"), within=1))


@two_sites
def test_no_inner_route(lab: Lab, hq: Site, branch: Site) -> None:
    with lab.tunnel("branch", "hq").configured(iroute=[]):
        expect_routed(hq, branch)
        for family in FAMILIES:
            narrow, wide = LINES[family]
            for here, there in ((hq, branch), (branch, hq)):
                cause = expect_loss(lab, here, there, family, "no-inner-route")
                assert cause.what.startswith("hq drops it ")
                assert cause.mend == f"add {narrow} to {SCRIPT}, or {wide}"
        expect_wrong_source(lab, hq, branch)
        sentence = str(expect_loss(lab, branch, hq, "ipv4", "no-inner-route"))
        assert sentence in unanswered(branch, hq)
    expect_everything_passes(lab, hq, branch)


def expect_wrong_source(lab: Lab, hq: Site, branch: Site) -> None:
    """Send from the client's outer address, to which the server has a route outside the tunnel."""
    tunnel = lab.tunnel("branch", "hq")
    for family in FAMILIES:
        source = branch.router.address(family)
        found = lost_in_tunnel(lab, tunnel, "branch", Header(source, hq.host.address(family), 84))
        assert [cause.kind for cause in found.causes] == ["wrong-source"], found
        assert f"{source} is not an address of branch" in found.causes[0].what


@two_sites
@pytest.mark.parametrize("without", FAMILIES)
def test_inner_route_for_one_family(lab: Lab, hq: Site, branch: Site, without: Family) -> None:
    (other,) = set(FAMILIES) - {without}
    with lab.tunnel("branch", "hq").configured(iroute=[other], hand_out="client-config-dir"):
        expect_routed(hq, branch)
        for here, there in ((hq, branch), (branch, hq)):
            cause = expect_loss(lab, here, there, without, "one-family")
            assert cause.mend == f"add {LINES[without][1]} to hq:/etc/openvpn/server/branch-hq/clients/branch"
            expect_no_loss(lab, here, there, other)
        sentence = str(expect_loss(lab, hq, branch, without, "one-family"))
        assert sentence in failure(lambda: hq.host.expect_reaches(branch.host.address(without), within=1))
    expect_everything_passes(lab, hq, branch)


@shared
def test_second_client_takes_the_inner_default_route(lab: Lab) -> None:
    tunnels = {name: lab.tunnel(name, "hub") for name in ("spoke1", "spoke2")}
    sites = {name: site(lab, tunnel, name) for name, tunnel in tunnels.items()}
    hub = site(lab, tunnels["spoke1"], "hub")
    for first, second in (("spoke1", "spoke2"), ("spoke2", "spoke1")):
        tunnels[second].client.stop()
        tunnels[second].client.start()
        tunnels[second].wait_connected()
        for name in (first, second):
            hub.router.expect_route(sites[name].router.plan.networks)
            sites[name].router.expect_route(hub.router.plan.networks)
        for family in FAMILIES:
            for here, there in ((hub, sites[first]), (sites[first], hub)):
                cause = expect_loss(lab, here, there, family, "second-client")
                assert f"for {second}, which claimed it after {first}" in cause.what
            for here, there in ((hub, sites[second]), (sites[second], hub)):
                expect_no_loss(lab, here, there, family)
    for here, there in ((hub, sites[first]), (sites[first], hub)):
        sentence = str(expect_loss(lab, here, there, "ipv4", "second-client"))
        assert sentence in unanswered(here, there)


@two_sites
def test_wide_inner_route_with_client_to_client(lab: Lab, hq: Site, branch: Site) -> None:
    with lab.tunnel("branch", "hq").extended(server=["client-to-client"]):
        expect_routed(hq, branch)
        for family in FAMILIES:
            cause = expect_loss(lab, branch, hq, family, "client-to-client")
            assert "remove `client-to-client` (hq:/etc/openvpn/server/branch-hq.conf:" in cause.mend
            expect_no_loss(lab, hq, branch, family)
        assert str(expect_loss(lab, branch, hq, "ipv4", "client-to-client")) in unanswered(branch, hq)
    expect_everything_passes(lab, hq, branch)


@two_sites
def test_recursive_routing(lab: Lab, hq: Site, branch: Site) -> None:
    for here, there in ((hq, branch), (branch, hq)):
        outer = f"{there.router.address('ipv4')}/32"
        (before,) = here.router.exec("ip", "route", "show", "exact", outer).stdout.splitlines() or [""]
        undo = f"ip route replace {before}" if before else f"ip route del {outer} dev {here.device}"
        with ran(here.router, f"ip route replace {outer} dev {here.device}", undo):
            for sender, receiver in ((hq, branch), (branch, hq)):
                cause = expect_loss(lab, sender, receiver, "ipv4", "recursive-routing")
                assert cause.node == here.router.name
                assert outer in cause.what
        expect_everything_passes(lab, hq, branch)


@two_sites
def test_device_of_an_end_is_down(lab: Lab, hq: Site, branch: Site) -> None:
    with ran(branch.router, f"ip link set {branch.device} down", f"ip link set {branch.device} up"):
        cause = expect_loss(lab, hq, branch, "ipv4", "inner-device")
        assert cause.node == "branch"
    with lab.tunnel("branch", "hq").configured():  # the device has lost its addresses and routes
        pass
    expect_everything_passes(lab, hq, branch)


@two_sites
@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("compression-framing", ["comp-lzo yes", "allow-compression yes"]),
        ("fragment-framing", ["fragment 1200"]),
    ],
)
def test_framing_that_the_other_end_lacks(lab: Lab, hq: Site, branch: Site, kind: str, lines: list[str]) -> None:
    tunnel = lab.tunnel("branch", "hq")
    with tunnel.extended(server=lines):
        tunnel.wait_connected()
        for here, there in ((hq, branch), (branch, hq)):
            cause = expect_loss(lab, here, there, "ipv4", kind)
            assert f"hq has `{lines[0]}` and branch has no such option" in cause.what
    expect_everything_passes(lab, hq, branch)


@two_sites
def test_outer_path_is_too_narrow(lab: Lab, hq: Site, branch: Site, underlay: Underlay) -> None:
    with underlay.narrow(NARROW):
        for family in FAMILIES:
            cause = expect_loss(lab, hq, branch, family, "outer-mtu", size=1400)
            assert "packets of 1400 bytes are lost in the tunnel and those of 333 bytes pass" in cause.what
            expect_no_loss(lab, hq, branch, family, size=1000)
    for family in FAMILIES:
        expect_no_loss(lab, hq, branch, family, size=1400)


@two_sites
def test_outer_packets_are_dropped_while_the_tunnel_is_up(lab: Lab, hq: Site, branch: Site, underlay: Underlay) -> None:
    with dropping(underlay.transit, "udp dport 1194 drop"):
        # Between the tunnel's own addresses, whose routes do not end with the BGP session.
        tunnel = lab.tunnel("branch", "hq")
        server, client = tunnel.tunnel.server_ipv4.ip, tunnel.tunnel.client_ipv4.ip
        found = lost_in_tunnel(lab, tunnel, "branch", Header(client, server, 84))
        assert [cause.kind for cause in found.causes] == ["outer-dropped"], found
        other = lost_in_tunnel(lab, tunnel, "hq", Header(server, client, 84))
        assert other.apart.endswith("carries such packets now"), other
    expect_everything_passes(lab, hq, branch)


@two_sites
def test_outer_path_that_loses_some_packets(lab: Lab, hq: Site, branch: Site, underlay: Underlay) -> None:
    with dropping(underlay.transit, "udp dport 1194 numgen inc mod 2 0 drop"):
        tunnel = lab.tunnel("branch", "hq")
        server, client = tunnel.tunnel.server_ipv4.ip, tunnel.tunnel.client_ipv4.ip
        found = lost_in_tunnel(lab, tunnel, "branch", Header(client, server, 84))
        assert [cause.kind for cause in found.causes] == ["outer-loss"], found
        assert found.causes[0].what.startswith(
            "branch: the outer path to hq loses packets: 3 outer packets left branch"
        )
    expect_everything_passes(lab, hq, branch)


@shared
def test_inner_route_of_another_client(lab: Lab) -> None:
    tunnels = {name: lab.tunnel(name, "hub") for name in ("spoke1", "spoke2")}
    hub, one = site(lab, tunnels["spoke1"], "hub"), site(lab, tunnels["spoke1"], "spoke1")
    files = hub.router.running.files / tunnels["spoke1"].server.process.files.relative_to("/") / "clients"
    before = {name: (files / name).read_text() for name in tunnels}
    wide = "iroute 10.2.0.0 255.255.0.0\niroute-ipv6 2001:db8::/32\n"
    try:
        for name, text in before.items():
            own = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("iroute"))
            (files / name).write_text(own + (wide if name == "spoke2" else ""))
            reconnect(tunnels[name])
        for family in FAMILIES:
            narrow, _ = LINES[family]
            hub.router.expect_route(one.router.plan.networks)
            for here, there in ((hub, one), (one, hub)):
                cause = expect_loss(lab, here, there, family, "inner-route-of-another")
                assert cause.node == "hub"
                assert "belongs to spoke2" in cause.what
                assert f"add {narrow} to hub:" in cause.mend
    finally:
        for name, text in before.items():
            (files / name).write_text(text)
            reconnect(tunnels[name])


def reconnect(tunnel: RunningTunnel) -> None:
    tunnel.client.stop()
    tunnel.client.start()
    tunnel.wait_connected()


@pytest.mark.topology("../silent/narrow.clab.yml", tunnel={"mode": "p2p-static-key", "transport": "udp"})
def test_packets_that_look_replayed(lab: Lab, hq: Site, branch: Site) -> None:
    """The receiver's record of packets is of tomorrow, as after a clock that was set back."""
    record = struct.pack("<qIxxxx", int(time.time()) + 86_400, 1)  # time_t and the last packet's number
    tunnel = lab.tunnel("branch", "hq")
    (branch.router.running.root / "tmp" / "replay").write_bytes(record)
    with tunnel.extended(client=["replay-persist /tmp/replay"]):
        server, client = tunnel.tunnel.server_ipv4.ip, tunnel.tunnel.client_ipv4.ip
        found = lost_in_tunnel(lab, tunnel, "hq", Header(server, client, 84))
        assert [(cause.kind, cause.node) for cause in found.causes] == [("replay", "branch")], found
    expect_everything_passes(lab, hq, branch)


@pytest.fixture
def underlay(lab: Lab) -> Underlay:
    """The router between the sites, which can drop packets and change its MTU."""
    return Underlay(lab.node("transit"))
