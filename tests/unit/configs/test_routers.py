"""Facts about routing daemons: neighbours, networks, interfaces and what was not read."""

from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Disk, Unreadable
from lab.configs.routers import BgpNeighbor, RouterFacts, read_routers

SAMPLES = Path(__file__).parents[2] / "data" / "configs"


def router(*names: str) -> RouterFacts:
    """Read the one router of some samples."""
    (found,) = read_routers([PurePosixPath("/", name) for name in names], Disk(SAMPLES))
    return found


@pytest.fixture
def hub() -> RouterFacts:
    """A FRR with most of what the reader knows."""
    return router("frr/hub.conf", "frr/daemons")


def test_frr_has_its_identity(hub: RouterFacts) -> None:
    assert (hub.daemon, hub.split, hub.asn, hub.hostname) == ("frr", False, 4242420001, "hub")
    assert str(hub.router_id) == "192.0.2.1"
    assert hub.protocols == {"bgp", "ospf", "ospf6", "static", "bfd"}
    assert hub.vrfs == ("CUSTOMER",)
    assert hub.daemons_file is not None
    assert hub.daemons_file.enabled == {"bgpd", "ospfd", "ospf6d", "bfdd"}
    assert ("bgpd_options", "   -A 127.0.0.1 -M bmp") in hub.daemons_file.options
    assert [(u.text, u.spot.line) for u in hub.unread] == [("segment-routing", 88)]


def test_frr_has_its_neighbors(hub: RouterFacts) -> None:
    by_name: dict[str, BgpNeighbor] = {n.name: n for n in hub.neighbors}
    assert list(by_name) == ["198.51.100.9", "203.0.113.7", "fe80::2", "tun1", "10.8.0.0/24", "10.77.0.2"]
    other, multihop, link_local = by_name["198.51.100.9"], by_name["203.0.113.7"], by_name["fe80::2"]
    assert (other.external, other.description, str(other.source), other.disabled) == (
        False,
        "other hub",
        "192.0.2.1",
        True,
    )
    assert (multihop.multihop, multihop.ttl_security, multihop.families) == (3, True, frozenset())
    assert (link_local.remote, link_local.interface) == (65546, "tun7")
    assert link_local.families == {"ipv6"}
    unnumbered, spokes, customer = by_name["tun1"], by_name["10.8.0.0/24"], by_name["10.77.0.2"]
    assert (unnumbered.address, unnumbered.interface, unnumbered.remote, unnumbered.bfd) == (
        None,
        "tun1",
        "external",
        True,
    )
    assert (spokes.password, spokes.hold, spokes.spot.line) == ("example-secret", 9, 38)
    assert spokes.families == {"ipv4"}
    assert (customer.vrf, customer.external, customer.hold) == ("CUSTOMER", True, 180)


def test_frr_has_its_networks_and_routes(hub: RouterFacts) -> None:
    assert [str(o.prefix) for o in hub.originated] == ["10.1.0.0/16", "10.0.0.0/8", "2001:db8:1::/48"]
    assert [(r.protocol, r.source, r.family) for r in hub.redistributions] == [
        ("bgp", "connected", "ipv4"),
        ("bgp", "static", "ipv6"),
        ("ospf", "bgp", "ipv4"),
    ]
    assert [(str(r.prefix), r.via and str(r.via), r.interface, r.discards, r.vrf) for r in hub.static_routes] == [
        ("172.20.0.0/16", "10.77.0.2", None, False, "CUSTOMER"),
        ("10.200.0.0/16", None, None, True, None),
        ("192.0.2.0/24", "198.51.100.1", "eth0", False, None),
        ("2001:db8:1::/48", "fe80::1", "eth0", False, None),
    ]


def test_frr_has_its_interfaces(hub: RouterFacts) -> None:
    assert [(i.name, list(map(str, i.addresses)), i.vrf) for i in hub.interfaces] == [
        ("tun0", ["10.8.0.1/24"], None),
        ("eth1", ["10.77.0.1/30", "2001:db8:77::1/64"], "CUSTOMER"),
        ("lan0", [], None),
    ]
    tun, lan, network = hub.interior
    assert (tun.protocol, tun.name, tun.area, tun.passive) == ("ospf", "tun0", "0.0.0.0", False)  # noqa: S104
    assert (lan.protocol, lan.name, lan.area, lan.passive) == ("ospf6", "lan0", "0.0.0.1", True)
    assert [network.is_passive(name) for name in ("eth0", "tun0")] == [True, False]


def test_quaggas_files_are_one_router() -> None:
    found = router("quagga/zebra.conf", "quagga/bgpd.conf", "quagga/ripd.conf")
    assert (found.daemon, found.split, found.hostname, found.asn) == ("quagga", True, "edge-router", 65101)
    assert found.protocols == {"bgp", "rip", "static"}
    assert [(i.protocol, i.name or str(i.prefix)) for i in found.interior] == [
        ("rip", "tun0"),
        ("rip", "192.168.40.0/22"),
    ]
    assert [str(o.prefix) for o in found.originated] == ["192.168.40.0/22"]
    assert [str(r.prefix) for r in found.static_routes] == ["172.16.99.0/24"]
    assert found.unread == ()
    assert {str(n.spot) for n in found.neighbors} == {"/quagga/bgpd.conf:8"}


def test_integrated_file_replaces_split_ones(tmp_path: Path) -> None:
    (tmp_path / "frr.conf").write_text("frr defaults traditional\nrouter bgp 65001\n")
    (tmp_path / "bgpd.conf").write_text("router bgp 65002\n neighbor 192.0.2.1 remote-as 65001\nline vty\n")
    (found,) = read_routers([PurePosixPath(tmp_path / name) for name in ("bgpd.conf", "frr.conf")])
    assert (found.asn, found.neighbors, found.split) == (65001, (), False)
    assert "is ignored" in found.unread[0].text


def test_other_files_are_no_routers(tmp_path: Path) -> None:
    (tmp_path / "server.conf").write_text("dev tun\nserver 10.8.0.0 255.255.255.0\nlog /var/log/openvpn.log\n")
    assert read_routers([PurePosixPath(tmp_path / "server.conf")]) == []


def test_huge_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "frr.conf").open("wb") as file:
        file.truncate(50 << 20)
    with pytest.raises(Unreadable, match=r"frr\.conf: longer than \d+ bytes"):
        read_routers([PurePosixPath(tmp_path / "frr.conf")])


# --- BIRD --------------------------------------------------------------------------------------------------


@pytest.fixture
def dn42() -> RouterFacts:
    """A BIRD 2 with included peers."""
    return router("bird2/bird.conf", "bird2/peers/alpha.conf", "bird2/peers/beta.conf", "bird2/roa.conf")


def test_bird_has_its_identity_and_includes(dn42: RouterFacts) -> None:
    assert (dn42.daemon, dn42.asn, str(dn42.router_id)) == ("bird2", 4242420101, "172.20.101.1")
    assert [path.name for path in dn42.files] == ["bird.conf", "roa.conf", "alpha.conf", "beta.conf"]
    assert dn42.protocols == {"bgp", "ospf", "ospf6", "rip", "static"}
    assert dn42.unread == ()


def test_bird_has_its_neighbors(dn42: RouterFacts) -> None:
    alpha, beta, spokes, internal = dn42.neighbors
    assert (alpha.name, str(alpha.address), alpha.interface, alpha.remote) == ("alpha", "fe80::a2", "tun1", 4242420102)
    assert (alpha.password, alpha.ttl_security, alpha.external, alpha.hold) == ("example-secret", True, True, 240)
    assert (str(alpha.spot), alpha.description) == ("/bird2/peers/alpha.conf:1", "alpha, by OpenVPN")
    assert (beta.multihop, str(beta.source), beta.hold, beta.bfd) == (3, "172.20.101.1", 30, True)
    assert beta.hold_spot is not None
    assert (beta.hold_spot.line, sorted(beta.families)) == (5, ["ipv4", "ipv6"])
    assert (str(spokes.range), spokes.interface, spokes.remote, spokes.passive) == (
        "10.8.0.0/24",
        "tun0",
        "external",
        True,
    )
    assert (internal.external, internal.disabled, str(internal.source)) == (False, True, "fd42:101::1")


def test_bird_has_its_networks_and_routes(dn42: RouterFacts) -> None:
    assert [(str(r.prefix), r.discards, r.interface, r.via and str(r.via)) for r in dn42.static_routes] == [
        ("172.20.101.0/24", True, None, None),
        ("fd42:101::/48", True, None, None),
        ("fd42:999::/48", False, "wg9", "fe80::9"),
    ]
    assert [(str(o.prefix), o.protocol, o.certain) for o in dn42.originated] == [
        ("172.20.101.0/24", "bgp", True),
        ("fd42:101::/48", "bgp", True),
        ("fd42:999::/48", "bgp", True),
        ("fd42:101:1::/64", "ospf", True),
    ]
    assert [(r.protocol, r.source, r.family, r.certain) for r in dn42.redistributions] == [
        ("ospf", "connected", "ipv6", True)
    ]


def test_bird_has_its_interfaces(dn42: RouterFacts) -> None:
    found = [(i.protocol, i.name or str(i.prefix), i.area, i.passive, i.excluded) for i in dn42.interior]
    assert found == [
        ("ospf6", "tun*", "0.0.0.0", False, ()),  # noqa: S104 - an area, and not a socket's
        ("ospf6", "lan0", "0.0.0.0", False, ("tun9",)),  # noqa: S104
        ("ospf6", "dummy0", "0.0.0.0", True, ()),  # noqa: S104
        ("ospf", "10.8.0.0/24", "0.0.0.2", False, ()),
        ("rip", "tun0", None, False, ()),
        ("rip", "*", None, True, ("eth0",)),
    ]


def test_bird_1_has_one_family_per_daemon() -> None:
    four, six = read_routers([PurePosixPath("/bird1", name) for name in ("bird.conf", "bird6.conf")], Disk(SAMPLES))
    assert (four.daemon, six.daemon, four.asn) == ("bird1", "bird1", 65102)
    assert four.protocols == {"bgp", "ospf", "static"}
    assert [(n.name, n.external, list(n.families)) for n in (*four.neighbors, *six.neighbors)] == [
        ("hq", True, ["ipv4"]),
        ("hq6", True, ["ipv6"]),
    ]
    assert [(str(o.prefix), o.certain) for o in (*four.originated, *six.originated)] == [
        ("172.16.99.0/24", True),
        ("172.16.0.0/16", True),
        ("2001:db8:99::/48", True),
    ]
    assert [(i.name, i.area) for i in four.interior] == [("tun0", "0.0.0.1")]


def test_missing_include_is_unread(tmp_path: Path) -> None:
    (tmp_path / "bird.conf").write_text('router id 192.0.2.1;\ninclude "gone.conf";\ninclude "peers/*.conf";\n')
    (found,) = read_routers([PurePosixPath(tmp_path / "bird.conf")])
    assert [(u.text, u.spot.line) for u in found.unread] == [
        ('include "gone.conf": not at hand', 2),
        ('include "peers/*.conf": not at hand', 3),
    ]
