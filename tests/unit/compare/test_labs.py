"""The labs of the comparison are topologies like any other: read, checked and rendered."""

import pytest

from lab.compare.labs import CLIENT, MOST_CLIENTS, SERVER, behind, beside, hub, pair
from lab.compare.survey import ALTERNATIVES, declared_of
from lab.image import NODE_IMAGE, VERSIONS
from lab.routing import plan_routers
from lab.topology import EncapsulationKind
from lab.tunnel import modes, processes, render_tunnel
from lab.tunnel.pki import Authority

RUNNABLE = [(mode.name, version) for mode in modes().values() for version in VERSIONS if version in mode.traits.openvpn]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("mode", "openvpn"), RUNNABLE)
def test_two_routers_and_one_tunnel(mode: str, openvpn: str, transport: str) -> None:
    topology = pair(mode, openvpn=openvpn, transport=transport, name="two")
    (tunnel,) = topology.tunnels
    assert (tunnel.mode, tunnel.transport, tunnel.server, tunnel.client) == (mode, transport, SERVER, CLIENT)
    assert {node.image for node in topology.nodes.values()} == {f"{NODE_IMAGE}:{openvpn}"}
    plans = plan_routers(topology)
    assert [[peer.node for peer in plans[node].peers] for node in (SERVER, CLIENT)] == [[CLIENT], [SERVER]]


@pytest.mark.parametrize("mode", modes())
def test_what_is_compared_is_the_same_on_every_kernel(mode: str) -> None:
    """The data in userspace, but for the mode that is there to have it in the kernel; with many clients as well."""
    for topology in (
        pair(mode, openvpn="2.7", transport="udp", name="two"),
        hub(mode, 2, openvpn="2.7", name="hub"),
    ):
        for tunnel in topology.tunnels:
            assert tunnel.options.get("disable-dco", False) is (mode != "dco"), f"{mode} depends on the kernel"


def test_only_the_mode_of_fixed_routes_is_told_what_lies_behind() -> None:
    authority = Authority.new("test")

    def written_down(mode: str) -> bool:
        (tunnel,) = pair(mode, openvpn="2.7", transport="udp", name="two").tunnels
        files = [file for end in render_tunnel(tunnel, authority).values() for file in end]
        return any("10.2.0.0" in file.content for file in files)

    assert {name for name in modes() if written_down(name)} == {"fixed-routes"}


@pytest.mark.parametrize(("mode", "servers"), [("iroute", 32), ("p2p-tls", 32), ("fixed-routes", 32), ("tap", 1)])
def test_a_hub_has_a_process_for_each_client_or_one_for_all(mode: str, servers: int) -> None:
    topology = hub(mode, 32, openvpn="2.7", name="hub")
    assert len(topology.tunnels) == 32
    assert len({processes(tunnel)["server"] for tunnel in topology.tunnels}) == servers
    assert len({tunnel.server_device for tunnel in topology.tunnels}) == servers
    assert not plan_routers(topology)


def test_the_largest_hub_has_room_for_all() -> None:
    topology = hub("tap", MOST_CLIENTS, openvpn="2.6", name="hub")
    assert len({tunnel.client_ipv4 for tunnel in topology.tunnels}) == MOST_CLIENTS
    assert len({behind(number) for number in range(MOST_CLIENTS)}) == MOST_CLIENTS


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_beside_a_kernel_tunnel_what_it_carries_is_announced_and_nothing_else(kind: EncapsulationKind) -> None:
    carried = declared_of(kind).facts.families
    for router in plan_routers(beside(kind, openvpn="2.7", name="beside")).values():
        assert {f"ipv{network.version}" for network in router.networks} == set(carried)
