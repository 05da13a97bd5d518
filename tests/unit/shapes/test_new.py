"""`lab new`: each shape in each mode with each daemon is a topology that can be read, planned and rendered."""

import itertools
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from lab.catalogue import load, topology_schema, vocabulary
from lab.core.errors import InputError
from lab.render.howto import export
from lab.routing import daemon_of, daemons, plan_routers
from lab.shapes.addresses import AddressPlan
from lab.shapes.shape import MOST_ROUTERS, PlannedTunnel, Shape, chain, dual_homed, hub, mesh, pair, ring
from lab.shapes.write import Choices, topology_text
from lab.topology import Topology, dump, parse
from lab.topology.envsubst import verbatim
from lab.topology.mistakes import Findings
from lab.topology.source import compose, plain
from lab.tunnel import modes
from tests.helpers import clab_schema

SHAPES: Mapping[str, Callable[[], Shape]] = {
    "pair": pair,
    "hub of 1": lambda: hub(1),
    "hub of 3": lambda: hub(3),
    "mesh of 4": lambda: mesh(4),
    "chain of 4": lambda: chain(4),
    "ring of 3": lambda: ring(3),
    "dual-homed": dual_homed,
}
SEVERAL_PATHS = ("ring of 3", "dual-homed")
STATIC = ("fixed-routes",)
COMBINATIONS = [
    (shape, mode, daemon)
    for shape, mode, daemon in itertools.product(SHAPES, modes(), daemons())
    if not (shape in SEVERAL_PATHS and mode in STATIC)
]


def text_of(shape: Shape, **choices: str | bool) -> str:
    return topology_text(shape, Choices(**choices), name="started", command="lab new")  # type: ignore[arg-type]


def read(text: str) -> Topology:
    return parse(text, Path("started.clab.yml"), vocabulary(), environ={})


def pairs_of(topology: Topology) -> list[tuple[str, str]]:
    return [(tunnel.client, tunnel.server) for tunnel in topology.tunnels]


@pytest.mark.parametrize(("shape", "mode", "daemon"), COMBINATIONS)
def test_topology_is_read_planned_and_rendered(tmp_path: Path, shape: str, mode: str, daemon: str) -> None:
    wanted = SHAPES[shape]()
    text = text_of(wanted, mode=mode, daemon=daemon, transport="tcp")
    topology = read(text)
    assert pairs_of(topology) == [(tunnel.client, tunnel.server) for tunnel in sorted_by_client(wanted)]
    assert {(tunnel.mode, tunnel.transport) for tunnel in topology.tunnels} == {(mode, "tcp")}
    assert topology.remarks == ()

    plans = plan_routers(topology)
    assert set(plans) == (set() if mode in STATIC else set(wanted.routers))
    for router, plan in plans.items():
        ends = {end for pair in pairs_of(topology) if router in pair for end in pair} - {router}
        assert {peer.node for peer in plan.peers} == ends
        assert plan.daemon == daemon
        assert daemon_of(plan).render(plan)

    (tmp_path / "started.clab.yml").write_text(text)
    written = export(load(tmp_path / "started.clab.yml"), tmp_path / "out")
    configurations = [path for path in written if path.suffix == ".conf" and "openvpn" in path.parts]
    servers = {(tunnel.server, tunnel.port) for tunnel in topology.tunnels}
    assert len(configurations) == len(topology.tunnels) + len(servers)


def sorted_by_client(shape: Shape) -> list[PlannedTunnel]:
    """Return the tunnels of a shape in the order of the nodes that declare them."""
    return sorted(shape.tunnels, key=lambda tunnel: shape.routers.index(tunnel.client))


@pytest.mark.parametrize("shape", SEVERAL_PATHS)
@pytest.mark.parametrize("mode", STATIC)
def test_static_routes_are_refused_where_there_are_several_paths(shape: str, mode: str) -> None:
    with pytest.raises(InputError, match=f"the mode {mode} has static routes, and in the shape .* several paths"):
        text_of(SHAPES[shape](), mode=mode)


@pytest.mark.parametrize("hosts", [True, False], ids=["hosts", "no hosts"])
@pytest.mark.parametrize("shape", SHAPES)
def test_file_is_valid_by_both_schemas_and_reads_back(shape: str, hosts: bool) -> None:
    wanted = SHAPES[shape]()
    text = text_of(wanted, hosts=hosts)
    assert clab_schema.mistakes(text) == []
    findings = Findings(Path("started.clab.yml"))
    tree = compose(verbatim(text), findings.file, findings)
    assert tree is not None
    assert list(Draft7Validator(topology_schema()).iter_errors(plain(tree))) == []
    topology = read(text)
    again = read(dump(topology))
    assert (again.nodes, again.links, again.tunnels) == (topology.nodes, topology.links, topology.tunnels)
    lans = {f"{router}-lan" for router in wanted.routers}
    assert set(topology.nodes) == {*wanted.routers, *wanted.transits, *(lans if hosts else ())}


@pytest.mark.parametrize(
    ("shape", "tunnels"),
    [
        (pair(), {("branch", "hq")}),
        (hub(2), {("spoke1", "hub"), ("spoke2", "hub")}),
        (mesh(3), {("r2", "r1"), ("r3", "r1"), ("r3", "r2")}),
        (chain(3), {("r2", "r1"), ("r3", "r2")}),
        (ring(3), {("r2", "r1"), ("r3", "r2"), ("r1", "r3")}),
    ],
    ids=lambda value: value.name if isinstance(value, Shape) else "",
)
def test_shape_has_its_tunnels(shape: Shape, tunnels: set[tuple[str, str]]) -> None:
    assert set(pairs_of(read(text_of(shape)))) == tunnels


def test_dual_homed_site_has_a_tunnel_over_each_provider() -> None:
    topology = read(text_of(dual_homed()))
    first, second = topology.tunnels
    assert (first.via, second.via) == ("isp1", "isp2")
    assert first.port != second.port
    outer = [ip_network("198.51.100.0/24"), ip_network("203.0.113.0/24")]
    for tunnel, network in zip(topology.tunnels, outer, strict=True):
        assert tunnel.server_at.outer in network
        assert tunnel.client_at.outer in network


@pytest.mark.parametrize(("mode", "processes"), [("iroute", 3), ("p2p-tls", 3), ("tap", 1), ("dco", 1)])
def test_mode_decides_whether_spokes_share_a_server_process(mode: str, processes: int) -> None:
    topology = read(text_of(hub(3), mode=mode))
    assert len({tunnel.port for tunnel in topology.tunnels}) == processes


def test_static_routes_lead_to_the_networks_behind_each_end() -> None:
    first, second = (tunnel.options for tunnel in read(text_of(chain(3), mode="fixed-routes")).tunnels)
    one, two, three = (
        ["10.1.0.0/24", "2001:db8:1::/64"],
        ["10.2.0.0/24", "2001:db8:2::/64"],
        ["10.3.0.0/24", "2001:db8:3::/64"],
    )
    assert [first[key] for key in ("server-networks", "client-networks")] == [one, [*two, *three]]
    assert [second[key] for key in ("server-networks", "client-networks")] == [[*one, *two], three]


@pytest.mark.parametrize("routers", [1, 64, 65, 500, MOST_ROUTERS])
def test_address_plans_do_not_overlap(routers: int) -> None:
    plan = AddressPlan(routers)
    outer = [plan.outer(0)]
    networks = [
        {address.rpartition("/")[0] for address in plan.outer_addresses(0, number)["ipv4"]} for number in range(routers)
    ]
    assert len(set().union(*networks)) == 2 * routers
    for number in range(routers):
        for family, prefix in zip(("ipv4", "ipv6"), outer[0], strict=True):
            for address in plan.outer_addresses(0, number)[family]:  # type: ignore[index]
                assert ip_network(address, strict=False).subnet_of(prefix)  # type: ignore[arg-type]
    lans = [prefix for number in range(routers) for prefix in plan.lan(number)]
    assert len(set(lans)) == len(lans)
    others = [*outer[0], ip_network("10.255.0.0/16"), ip_network("2001:db8:ff00::/40"), ip_network("10.0.0.0/16")]
    assert not [lan for lan in lans for other in others if lan.version == other.version and lan.overlaps(other)]
    numbers = [plan.asn(number) for number in range(routers)]
    assert len(set(numbers)) == routers
    assert all(64512 <= asn <= 65534 or 4200000000 <= asn <= 4294967294 for asn in numbers)


def test_large_hub_is_read() -> None:
    """With more than 64 links the outer addresses are of another range; the reader finds overlaps."""
    topology = read(text_of(hub(70), hosts=False))
    assert len(topology.tunnels) == 70
    assert topology.tunnels[-1].client_at.outer in ip_network("198.18.0.0/15")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"mode": "iruote"}, "unknown tunnel mode 'iruote': did you mean 'iroute'"),
        ({"mode": "x"}, "unknown tunnel mode 'x': the modes are .*'tap'"),
        ({"daemon": "brid"}, "unknown routing daemon 'brid': did you mean 'bird'"),
        ({"daemon": "x"}, "unknown routing daemon 'x': the daemons are .*'frr'"),
    ],
)
def test_unknown_choice_is_refused_with_the_known_ones(choices: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        text_of(pair(), **choices)


def test_file_that_the_reader_would_refuse_for_its_size_is_not_made() -> None:
    with pytest.raises(InputError, match=r"characters, and the lab reads files of up to 1,048,576: choose fewer"):
        text_of(chain(250), mode="fixed-routes")
