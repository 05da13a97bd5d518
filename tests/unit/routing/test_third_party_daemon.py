"""A daemon from another distribution: the lab finds it, checks intents with it and renders its templates."""

import re
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from shutil import copytree

import pytest

from lab.catalogue import load
from lab.core.errors import EnvironmentBroken
from lab.core.plugins import all_entry_points
from lab.render.node_spec import node_spec
from lab.routing import RoutingDaemon, SessionState, daemon_of, daemons, plan_routers
from lab.topology import TopologyError
from tests.helpers.thirdparty import SOURCES, installed

IMAGE = "openvpn-routing-lab/node:2.6"
SAMPLES = Path(__file__).parents[2] / "data" / "bird"
ROUTER = "router: {{daemon: birdc, asn: 65001, networks: [10.1.0.0/24, 'fd00:1::/64']{}}}"


@pytest.fixture(scope="module")
def site_packages() -> Iterator[Path]:
    with installed("daemon") as target:
        yield target


@pytest.fixture
def birdc(site_packages: Path) -> RoutingDaemon:
    return daemons()["birdc"]


def topology(directory: Path, more: str = "") -> Path:
    """Write two routers on a link that peers: one runs the third-party daemon, one FRR."""
    file = directory / "pair.clab.yml"
    file.write_text(f"""
name: pair
topology:
  defaults: {{kind: linux, image: "{IMAGE}", network-mode: none, privileged: false}}
  nodes:
    one: {{config: {{vars: {{{ROUTER.format(more)}}}}}}}
    other: {{config: {{vars: {{router: {{daemon: frr, asn: 65002}}}}}}}}
  links:
    - endpoints: ["one:eth1", "other:eth1"]
      ipv4: [192.0.2.1/30, 192.0.2.2/30]
      ipv6: ["fd00::1/64", "fd00::2/64"]
      vars: {{peering: true}}
""")
    return file


def test_daemon_is_loaded_from_its_own_distribution(site_packages: Path, birdc: RoutingDaemon) -> None:
    file = sys.modules[type(birdc).__module__].__file__
    assert file is not None
    assert Path(file).is_relative_to(site_packages)


def test_files_are_rendered_from_the_templates_of_its_package(birdc: RoutingDaemon, tmp_path: Path) -> None:
    plan = plan_routers(load(topology(tmp_path)))["one"]
    files = {str(file.path): file.content for file in daemon_of(plan).render(plan)}
    assert "neighbor 192.0.2.2 as 65002;" in files["/etc/birdc/birdc.conf"]
    assert files["/etc/birdc/ipv4.conf"] == "route 10.1.0.0/24 blackhole;\n"
    assert files["/etc/birdc/ipv6.conf"] == "route fd00:1::/64 blackhole;\n"


def test_node_gets_its_capabilities_and_directories(birdc: RoutingDaemon, tmp_path: Path) -> None:
    spec = node_spec(load(topology(tmp_path)), "one", IMAGE, tmp_path, "")
    assert set(birdc.capabilities) <= set(spec.capabilities or ())
    assert {birdc.configuration, birdc.logs} <= {mount.target for mount in spec.mounts}


@pytest.mark.parametrize(
    ("more", "key"),
    [(", bfd: {}", "bfd"), (", multipath: true", "multipath"), (", accept: [{prefix: 10.0.0.0/8}]", "accept")],
)
def test_topology_is_refused_for_the_daemons_objections(
    birdc: RoutingDaemon, tmp_path: Path, more: str, key: str
) -> None:
    with pytest.raises(TopologyError, match=f"router.{key}.*birdc does not support it"):
        load(topology(tmp_path, more))


def test_sessions_and_routes_are_read_from_birdc(birdc: RoutingDaemon) -> None:
    module = sys.modules[type(birdc).__module__]
    shown = (line[5:] for line in (SAMPLES / "protocols-established.txt").read_text().splitlines())
    text = "\n".join(shown).replace("peer1", "session1")
    (neighbor,) = module.read_sessions(text.splitlines())
    assert (neighbor.state, neighbor.address) == (SessionState.ESTABLISHED, ip_address("10.255.0.1"))
    assert neighbor.prefixes_received == {"ipv4": 1, "ipv6": 1}
    routes = [line[5:] for line in (SAMPLES / "routes-ipv4.txt").read_text().splitlines()]
    rib = module.read_routes([line.replace("originated4", "own_ipv4") for line in routes])
    assert {prefix: path.peer for prefix, (path,) in rib.items()} == {
        ip_network("10.2.0.0/24"): None,
        ip_network("10.1.0.0/24"): ip_address("10.255.0.1"),
    }


def test_mypy_accepts_a_daemon_only_with_all_members(tmp_path: Path) -> None:
    for missing in ("nothing", "processes", "route_protocol", "package", "inquiry"):
        source = copytree(SOURCES / "daemon" / "lab_birdc", tmp_path / f"without_{missing}")
        text = (source / "__init__.py").read_text()
        for member in (f" {missing} =", f"def {missing}("):
            text = text.replace(member, member.replace(missing, f"other_{missing}"))
        (source / "__init__.py").write_text(text)
    # In the project's directory it has the cache of `make lint`, without which it reads the whole package.
    command = (sys.executable, "-m", "mypy", "--strict", *map(str, sorted(tmp_path.glob("without_*"))))
    checked = subprocess.run(command, cwd=SOURCES.parents[2], capture_output=True, text=True).stdout
    found = re.findall(r'without_(\w+)/.*: error: .* class "Birdc" with abstract attribute "(\w+)"', checked)
    assert sorted(found) == [(member, member) for member in ("inquiry", "package", "processes", "route_protocol")], (
        checked
    )
    assert f"Found {len(found)} errors" in checked, checked


def test_entry_point_that_is_not_a_daemon_is_refused(site_packages: Path) -> None:
    (metadata,) = site_packages.glob("*.dist-info/entry_points.txt")
    text = metadata.read_text()
    metadata.write_text(text.replace("lab_birdc:DAEMON", "lab_birdc:Birdc"))
    all_entry_points.cache_clear()
    daemons.cache_clear()
    try:
        with pytest.raises(EnvironmentBroken, match=r"'birdc' \(lab_birdc:Birdc\).* is not an instance of"):
            dict(daemons())
    finally:
        metadata.write_text(text)
        all_entry_points.cache_clear()
        daemons.cache_clear()
