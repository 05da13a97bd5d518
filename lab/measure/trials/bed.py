"""The topologies of a plan's beds: detector and mode set, or the tunnels replaced by links or by VXLAN."""

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface

from lab.catalogue import load, vocabulary
from lab.core.errors import InputError
from lab.measure.record import Over
from lab.measure.trials.plan import Bed
from lab.topology import (
    Encapsulation,
    Endpoint,
    Link,
    LinkIntent,
    NodeIntent,
    Topology,
    Tunnel,
    TunnelIntent,
    dump,
    parse,
)
from lab.topology.links import ETHERNET_MTU
from lab.tunnel import modes, pin_data_path
from lab.tunnel.options import Options, TlsOptions


def build(bed: Bed, name: str) -> Topology:
    """Return the topology of a bed under a name; raises `InputError` if the bed is impossible."""
    whole = load(bed.topology, name=name, openvpn=bed.openvpn or None, variables=dict(bed.variables))
    if not whole.tunnels:
        raise InputError(f"{whole.file}: it has no tunnel, so there is nothing to measure")
    if bed.over == "tunnel":
        return _replace_intents(whole, lambda tunnel: _tunnel(tunnel, bed), bed)
    links = tuple(_baseline_link(tunnel, whole, bed.over) for tunnel in whole.tunnels)
    without = _replace_intents(whole, lambda _: None, bed)
    return _reparse(without.model_copy(update={"links": (*without.links, *links)}))


def _replace_intents(topology: Topology, tunnel: Callable[[TunnelIntent], TunnelIntent | None], bed: Bed) -> Topology:
    def intent(of: NodeIntent) -> NodeIntent:
        tunnels = tuple(new for old in of.tunnels if (new := tunnel(old)) is not None)
        router = bed.detector.router(of.router) if of.router else None
        return of.model_copy(update={"tunnels": tunnels, "router": router})

    nodes = {name: node.model_copy(update={"intent": intent(node.intent)}) for name, node in topology.nodes.items()}
    return _reparse(topology.model_copy(update={"nodes": nodes, "tunnels": ()}))


def _reparse(topology: Topology) -> Topology:
    """Return a changed topology after the checks of a topology file."""
    return parse(dump(topology), topology.file, vocabulary())


def _tunnel(intent: TunnelIntent, bed: Bed) -> TunnelIntent:
    mode, options = intent.mode, dict(intent.options)
    if bed.mode and bed.mode != mode:
        mode = bed.mode
        common = TlsOptions if modes()[mode].traits.certificates else Options
        known = {field.alias or name for name, field in common.model_fields.items()}
        options = {key: value for key, value in options.items() if key in known}
    options = pin_data_path(mode, {**options, **bed.detector.options})
    return intent.model_copy(update={"mode": mode, "options": options})


# --- baselines ---------------------------------------------------------------------------------------------


def _baseline_link(tunnel: Tunnel, topology: Topology, over: Over) -> Link:
    """Return a link with a tunnel's inner addresses, over which its two routers peer instead."""
    encapsulation = None
    if over == "vxlan":
        encapsulation = Encapsulation(kind="vxlan", outer=(tunnel.server_outer, tunnel.client_outer))
    number = topology.tunnels.index(tunnel)

    def end(node: str, ipv4: IPv4Interface, ipv6: IPv6Interface) -> Endpoint:
        return Endpoint(node=node, interface=f"{over}{number}", ipv4=ipv4, ipv6=ipv6)

    return Link(
        kind="veth",
        endpoints=(
            end(tunnel.server, tunnel.server_ipv4, tunnel.server_ipv6),
            end(tunnel.client, tunnel.client_ipv4, tunnel.client_ipv6),
        ),
        mtu=None if encapsulation else ETHERNET_MTU,
        intent=LinkIntent(peering=True, preference=tunnel.preference, encapsulation=encapsulation),
    )
