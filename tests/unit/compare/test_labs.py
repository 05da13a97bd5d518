"""The topologies of the comparison: read, checked and rendered."""

import pytest

from lab.compare.labs import CLIENT, MAX_CLIENTS, SERVER, hub, kernel_pair, network_behind, pair
from lab.compare.survey import ALTERNATIVES, declare_kernel_tunnel
from lab.image import NODE_IMAGE, VERSIONS
from lab.routing import plan_routers
from lab.topology import EncapsulationKind
from lab.tunnel import modes, processes, render_tunnel
from lab.tunnel.pki import Authority

RUNNABLE = [(mode.name, version) for mode in modes().values() for version in VERSIONS if version in mode.traits.openvpn]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("mode", "openvpn"), RUNNABLE)
def test_pair_has_two_routers_and_one_tunnel(mode: str, openvpn: str, transport: str) -> None:
    topology = pair(mode, openvpn=openvpn, transport=transport, name="two")
    (tunnel,) = topology.tunnels
    assert (tunnel.mode, tunnel.transport, tunnel.server, tunnel.client) == (mode, transport, SERVER, CLIENT)
    assert {node.image for node in topology.nodes.values()} == {f"{NODE_IMAGE}:{openvpn}"}
    plans = plan_routers(topology)
    assert [[peer.node for peer in plans[node].peers] for node in (SERVER, CLIENT)] == [[CLIENT], [SERVER]]


@pytest.mark.parametrize("mode", modes())
def test_data_path_does_not_depend_on_the_kernel(mode: str) -> None:
    for topology in (
        pair(mode, openvpn="2.7", transport="udp", name="two"),
        hub(mode, 2, openvpn="2.7", name="hub"),
    ):
        for tunnel in topology.tunnels:
            assert tunnel.options.get("disable-dco", False) is (mode != "dco"), f"{mode} depends on the kernel"


def test_only_fixed_routes_lists_networks_in_its_files() -> None:
    authority = Authority.new("test")

    def lists_networks(mode: str) -> bool:
        (tunnel,) = pair(mode, openvpn="2.7", transport="udp", name="two").tunnels
        files = [file for end in render_tunnel(tunnel, authority).values() for file in end]
        return any("10.2.0.0" in file.content for file in files)

    assert {name for name in modes() if lists_networks(name)} == {"fixed-routes"}


@pytest.mark.parametrize(("mode", "servers"), [("iroute", 32), ("p2p-tls", 32), ("fixed-routes", 32), ("tap", 1)])
def test_hub_has_a_process_per_client_or_one_for_all(mode: str, servers: int) -> None:
    topology = hub(mode, 32, openvpn="2.7", name="hub")
    assert len(topology.tunnels) == 32
    assert len({processes(tunnel)["server"] for tunnel in topology.tunnels}) == servers
    assert len({tunnel.server_device for tunnel in topology.tunnels}) == servers
    assert not plan_routers(topology)


def test_largest_hub_has_an_address_per_client() -> None:
    topology = hub("tap", MAX_CLIENTS, openvpn="2.6", name="hub")
    assert len({tunnel.client_ipv4 for tunnel in topology.tunnels}) == MAX_CLIENTS
    assert len({network_behind(number) for number in range(MAX_CLIENTS)}) == MAX_CLIENTS


@pytest.mark.parametrize("kind", ALTERNATIVES)
def test_kernel_pair_announces_families_of_its_tunnel_only(kind: EncapsulationKind) -> None:
    carried = declare_kernel_tunnel(kind).facts.families
    for router in plan_routers(kernel_pair(kind, openvpn="2.7", name="beside")).values():
        assert {f"ipv{network.version}" for network in router.networks} == set(carried)
