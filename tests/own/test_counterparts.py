"""One end alone: the counterpart that an import makes for it connects, and packets pass."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.expect import Expectation, wait_for
from lab.importer import import_hosts, write_import
from lab.runtime.lab import Lab
from lab.status.overview import report, tunnel_reports
from lab.topology import Topology
from tests.helpers.own_files import deployed, own_name

pytestmark = [pytest.mark.docker]

HOSTS = Path(__file__).parents[1] / "data" / "hosts"
WITHIN = 60
KINDS: Mapping[str, tuple[str, str]] = {
    "openwrt": ("openwrt", "openwrt-server"),
    "vyos": ("vyos-lan", "site-lan"),
    "edgeos": ("edgeos-lan", "edgeos-peer-lan"),
    "pfsense": ("pfsense-lan", "shop62-lan"),
    "opnsense": ("opnsense-lan", "shop63-lan"),
    "bird16": ("bird16-lan", "bird16-peer-lan"),
}
"""A host of each kind of files, whose other end is not given, and the hosts in the LANs of both ends. A server that the
lab makes for a client has no LAN: there the ends of the tunnel stand for them."""
ROUTED = {"vyos", "site", "edgeos", "edgeos-peer", "bird16", "bird16-peer"}
"""The nodes with a routing daemon, each with one BGP session."""


def alone(directory: Path, *samples: str) -> Topology:
    """Return the topology of an import of hosts of which no two are the ends of a tunnel."""
    for sample in samples:
        shutil.copytree(HOSTS / sample, directory / sample)
    if "openwrt" in samples:  # the sample is a client of another one
        file = directory / "openwrt" / "etc" / "config" / "openvpn"
        file.write_text(file.read_text().replace("203.0.113.10 1194", "203.0.113.65 1265"))
    file = directory / f"{own_name(samples[0])}.clab.yml"
    made = import_hosts({sample: directory / sample for sample in samples}, file)
    assert len(made.counterparts) >= len(samples)
    assert not made.questions
    write_import(made)
    return load(made.file)


def passes(lab: Lab, source: str, target: str) -> None:
    host = lab.host(source)
    inside = [t.tunnel.server_ipv4.ip for t in lab.tunnels.values() if t.tunnel.server == target]
    address = inside[0] if inside else lab.host(target).address("ipv4")
    wait_for(Expectation("an answer to a ping", source, lambda: host.echo(address).answered, met=bool), within=WITHIN)


@pytest.mark.parametrize(
    ("sample", "source", "target"),
    [
        ("hub", "hub-lan", "north-lan"),
        ("alder", "alder-lan", "alder-peer-lan"),
        pytest.param("laptop", None, None, marks=pytest.mark.thorough),
    ],
)
def test_counterpart_connects_and_packets_pass(
    sample: str, source: str | None, target: str | None, tmp_path: Path
) -> None:
    with deployed(alone(tmp_path, sample), tmp_path / "lab") as lab:
        assert {report.up for report in tunnel_reports(lab)} == {True}
        if source is not None and target is not None:
            passes(lab, source, target)


def test_each_kind_of_files_gets_a_counterpart_with_tunnel_and_session(tmp_path: Path) -> None:
    with deployed(alone(tmp_path, *KINDS), tmp_path / "lab") as lab:
        seen = report(lab)
        assert {tunnel.name: tunnel.up for tunnel in seen.tunnels} == {tunnel.name: True for tunnel in seen.tunnels}
        assert len(seen.tunnels) == len(KINDS)
        sessions = {session.node: session.up for session in seen.sessions if session.protocol == "bgp"}
        assert sessions == dict.fromkeys(ROUTED, True)
        refused = [remark for remark in seen.remarks if remark.kind == "refused"]
        assert not refused
        for source, target in KINDS.values():
            passes(lab, source, target)
