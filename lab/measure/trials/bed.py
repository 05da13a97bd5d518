"""The topologies of a plan's beds: detector and mode set, or the tunnels replaced by links or by VXLAN."""

from collections import Counter
from collections.abc import Callable

from lab.catalogue import load, vocabulary
from lab.core.errors import InputError
from lab.measure.record import Over
from lab.measure.trials.plan import Bed
from lab.own import resolve, with_pool_addresses
from lab.topology import (
    Encapsulation,
    EndAddresses,
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
    if any(tunnel.own for tunnel in whole.tunnels):
        _require_own_options(whole, bed)
    _require_own_detectors(whole, bed)
    if bed.over == "tunnel":
        return _with_certain_addresses(_replace_intents(whole, lambda tunnel: _tunnel(tunnel, bed), bed))
    tunnels = with_pool_addresses(whole) if whole.processes else whole.tunnels
    links = tuple(_baseline_link(tunnel, number, whole, bed.over) for number, tunnel in enumerate(tunnels))
    without = _replace_intents(whole, lambda _: None, bed)
    return _reparse(without.model_copy(update={"links": (*without.links, *links)}))


def _replace_intents(topology: Topology, tunnel: Callable[[TunnelIntent], TunnelIntent | None], bed: Bed) -> Topology:
    def intent(of: NodeIntent) -> NodeIntent:
        tunnels = tuple(new for old in of.tunnels if (new := tunnel(old)) is not None)
        router = bed.detector.router(of.router) if of.router else None
        openvpn = of.openvpn if bed.over == "tunnel" else ()
        return of.model_copy(update={"tunnels": tunnels, "openvpn": openvpn, "router": router})

    nodes = {name: node.model_copy(update={"intent": intent(node.intent)}) for name, node in topology.nodes.items()}
    return _reparse(topology.model_copy(update={"nodes": nodes, "tunnels": ()}))


def _with_certain_addresses(topology: Topology) -> Topology:
    """Return the topology with the address from a pool of each client that is the only one of its server."""
    if not topology.processes:
        return topology
    servers = Counter(tunnel.own_server for tunnel in topology.tunnels)
    tunnels = tuple(
        completed if servers[before.own_server] == 1 else before
        for before, completed in zip(topology.tunnels, with_pool_addresses(topology), strict=True)
    )
    return topology.model_copy(update={"tunnels": tunnels})


def _require_own_options(topology: Topology, bed: Bed) -> None:
    """Raise `InputError` if a bed sets options of tunnels that run with files of the user's."""
    if bed.mode:
        what = f"the mode {bed.mode} cannot replace them: leave out 'modes'"
    elif bed.detector.kind == "ping-restart":
        what = "the detector ping-restart sets options of OpenVPN: measure with 'hold' or 'bfd'"
    else:
        return
    raise InputError(f"{topology.file}: its tunnels run with your own files, and {what}")


def _require_own_detectors(topology: Topology, bed: Bed) -> None:
    """Raise `InputError` if a router with files of the user's has another detector than the bed's."""
    for name, own in topology.own_routers.items():
        of_hold = bed.detector.kind == "hold" and own.hold == bed.detector.seconds
        if not of_hold and bed.detector.kind != "interface":
            known = f"its hold time is {own.hold} s" if own.hold else "it sets no hold time"
            raise InputError(
                f"{topology.file}: {name} runs with your own files, in which the detector {bed.detector} cannot be "
                f"set: {known}"
            )


def _reparse(topology: Topology) -> Topology:
    """Return a changed topology after the checks of a topology file."""
    return resolve(parse(dump(topology), topology.file, vocabulary()), run_scripts=topology.run_scripts)


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


def _baseline_link(tunnel: Tunnel, number: int, topology: Topology, over: Over) -> Link:
    """Return a link with a tunnel's inner addresses, over which its two routers peer instead.

    In place of a tunnel of the user's files it has the names of their devices, which files of routers may mention.
    Raises `InputError` if no family has an address at both ends.
    """
    here, there = tunnel.server_at, tunnel.client_at
    has_ipv4, has_ipv6 = bool(here.ipv4 and there.ipv4), bool(here.ipv6 and there.ipv6)
    if not has_ipv4 and not has_ipv6:
        raise InputError(
            f"{topology.file}: no file tells the inner addresses of both ends of {tunnel.name}, which the baseline "
            f"{over} needs: set them in the files, or measure with 'baselines: []'"
        )
    encapsulation = None
    if over == "vxlan":
        encapsulation = Encapsulation(kind="vxlan", outer=(tunnel.server_outer, tunnel.client_outer))

    def end(node: str, device: str, at: EndAddresses) -> Endpoint:
        interface = device if tunnel.own else f"{over}{number}"
        ipv4, ipv6 = at.ipv4 if has_ipv4 else None, at.ipv6 if has_ipv6 else None
        return Endpoint(node=node, interface=interface, ipv4=ipv4, ipv6=ipv6)

    return Link(
        kind="veth",
        endpoints=(
            end(tunnel.server, tunnel.server_device, here),
            end(tunnel.client, tunnel.device, there),
        ),
        mtu=None if encapsulation else ETHERNET_MTU,
        intent=LinkIntent(peering=True, preference=tunnel.preference, encapsulation=encapsulation),
    )
