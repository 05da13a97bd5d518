"""Files for FreeBSD and OpenBSD: complete, at the paths of those systems, and refused where there are none."""

from pathlib import Path

import pytest

from lab.catalogue import find_topology, load
from lab.core.errors import InputError
from lab.render.howto import export
from lab.topology import TopologyError


def rendered(name: str, out: Path, target: str | None = None) -> Path:
    export(load(name), out, target=target)
    return out


def test_external_nodes_get_their_systems_files(tmp_path: Path) -> None:
    out = rendered("bsd", tmp_path / "out")
    freebsd, openbsd = out / "freebsd/freebsd", out / "openbsd/openbsd"
    guide = (out / "HOWTO.md").read_text().partition("## freebsd (freebsd)\n")[2].partition("\n## ")[0]
    assert "- `/usr/local/etc/frr/frr.conf`\n" in guide
    assert "1. Copy the files: `cp -a freebsd/freebsd/. /` as root" in guide
    settings = (freebsd / "etc/rc.conf.lab").read_text().splitlines()
    assert 'ifconfig_vtnet2_ipv6="inet6 2001:db8:2::1 prefixlen 64"' in settings
    assert 'route_lab0="-net 198.51.100.0/30 203.0.113.2"' in settings
    assert 'openvpn_configfile="/usr/local/etc/openvpn/client/freebsd-hq.conf"' in settings
    assert 'frr_daemons="zebra staticd bgpd"' in settings
    assert (openbsd / "etc/hostname.vio1").read_text().splitlines() == [
        "inet 203.0.113.5 255.255.255.252",
        "!route add 198.51.100.0/30 203.0.113.6",
        "up",
    ]
    assert "--config /etc/openvpn/client/openbsd-hq.conf" in (openbsd / "etc/hostname.tun0").read_text()


@pytest.mark.parametrize("target", ["freebsd", "openbsd"])
def test_openvpns_files_name_the_systems_paths(tmp_path: Path, target: str) -> None:
    out = rendered("article", tmp_path / "out", target)
    prefix = "usr/local/etc/openvpn" if target == "freebsd" else "etc/openvpn"
    for node, conf in (("hq", "server/branch-hq.conf"), ("branch", "client/branch-hq.conf")):
        directory = out / node / target / prefix
        lines = (directory / conf).read_text().splitlines()
        assert not [line for line in lines if line.startswith("management")]
        named = [word for line in lines if not line.startswith("#") for word in line.split() if word.startswith("/")]
        assert named
        assert all((out / node / target / word.removeprefix("/")).is_file() for word in named)
        (key,) = directory.rglob("*.key")
        assert key.stat().st_mode & 0o777 == 0o600
    assert (out / "branch" / "etc/openvpn").exists(), "the files for Linux stay"


def test_bgpd_conf_announces_accepts_and_rejects_recursive_routes(tmp_path: Path) -> None:
    file = rendered("article", tmp_path / "out", "openbsd") / "branch/openbsd/etc/bgpd.conf"
    assert file.stat().st_mode & 0o777 == 0o600
    lines = file.read_text().splitlines()
    assert [line for line in lines if line.startswith("network")] == ["network 10.2.0.0/24", "network 2001:db8:2::/64"]
    assert {"deny quick from any prefix 0.0.0.0/0", "deny quick from any prefix 198.51.100.1/32"} <= set(lines)
    assert lines.index("allow from any") > lines.index("deny quick from any prefix 198.51.100.1/32")
    assert "\tannounce IPv6 unicast" in lines


def test_daemons_that_a_system_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="OpenBGPD has no ospf: use 'daemon: bird' on OpenBSD"):
        rendered("ospf", tmp_path / "out", "openbsd")
    settings = rendered("ospf", tmp_path / "other", "freebsd") / "branch/freebsd/etc/rc.conf.lab"
    assert 'frr_daemons="zebra staticd ospfd ospf6d"' in settings.read_text()


def test_bird_has_files_on_both(tmp_path: Path) -> None:
    for target, prefix in (("freebsd", "usr/local/etc/bird"), ("openbsd", "etc/bird")):
        out = rendered("frr-bird", tmp_path / target, target)
        text = (out / "branch" / target / prefix / "bird.conf").read_text()
        included = [line.split('"')[1] for line in text.splitlines() if line.strip().startswith("include")]
        assert included
        assert all((out / "branch" / target / path.removeprefix("/")).is_file() for path in included)


ASN = "            asn: 65003\n"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("freebsd:vtnet1", "freebsd:vtnet0", "'vtnet0' is not a port of FreeBSD; the first is 'vtnet1'"),
        ("openbsd:vio1", "openbsd:em1", "'em1' is not a port of OpenBSD; the first is 'vio1', 'eth1' in the container"),
        (ASN, f"{ASN}            bfd: {{}}\n", "'openbsd' is external: the lab has no command for 'bfd'"),
        (ASN, "            protocol: ospf\n", "'openbsd' is external: the lab has commands for BGP only"),
    ],
)
def test_limits_of_external_nodes(tmp_path: Path, old: str, new: str, what: str) -> None:
    text = find_topology("bsd").read_text()
    assert old in text
    (tmp_path / "x.clab.yml").write_text(text.replace(old, new))
    with pytest.raises(TopologyError, match=what):
        load(tmp_path / "x.clab.yml")
