"""Trials of failures that are there all the time: packets and logs show them, and the tunnel stays as it is."""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network

from lab.advise.across import into_tunnel
from lab.check.advised.scene import DAEMONS, Scene, Tried
from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import Address, Interface, Prefix, family_of, named
from lab.observe.counters import DROPPED_BY_TTL, REFUSED_BY_MD5, counters
from lab.tunnel.mode import End

_ENDS: tuple[End, End] = ("server", "client")
WITHIN = 90.0
"""Seconds to wait for slow events."""
_UNDEFINED = re.compile(r"(?m)^ *((?:Route map for \w+ advertisements|\w+ update [\w ]+ filter list) is (?!\*)\S+)")
"""A policy in `show bgp neighbors` that does not exist; FRR puts an asterisk before the names of the others."""
Trial = Callable[[Scene, End], Tried]
"""Looks for the failure of a rule at an end of a tunnel."""


def no_iroute(scene: Scene, end: End) -> Tried:
    """See if the daemon's routes are there, and no packet passes."""
    if not scene.learned:
        return Tried(None, "no daemon has brought the server a route to a network behind this client")
    return Tried(not scene.reached, _passing(scene))


def one_family(scene: Scene, end: End) -> Tried:
    """See if the packets of one family only pass."""
    # With client-to-client, answers may go back to the client.
    families = [{n for n in scene.routes if n.version == version} for version in (4, 6)]
    if not scene.learned or not all(families) or scene.server.has("client-to-client"):
        return Tried(None, "it shows with routes of both families and without `client-to-client` only")
    return Tried(sorted(bool(f & scene.reached) for f in families) == [False, True], _passing(scene))


def fixed_iroutes(scene: Scene, end: End) -> Tried:
    """See if networks that the daemon has brought are not reached, and no inner route covers them."""
    if not scene.inner_routes and not scene.client_options.gaps:
        return Tried(False, "the client has no inner route")
    if not scene.learned:
        return Tried(None, "no daemon has brought the server a route to a network behind this client")
    if not scene.tunnel_up:
        return Tried(None, "the server's inner address does not answer the client")
    lost = scene.learned - scene.reached
    if scene.client_options.gaps:  # what is reached shows that there are inner routes
        return Tried(any(n.version == other.version for n in lost for other in scene.reached), _passing(scene))
    inner = [route.network for route in scene.inner_routes]
    return Tried(any(not any(_covers(route, n) for route in inner) for n in lost), _passing(scene))


def route_without_iroute(scene: Scene, end: End) -> Tried:
    """See if packets to a `route` of OpenVPN's are dropped."""
    lines = (into_tunnel(scene.server, line) for line in scene.server.all("route", "route-ipv6"))
    written = [network for network in lines if network is not None]
    if not written:  # a static route of a daemon is not one of OpenVPN's
        return Tried(False, "the server has no `route` into the tunnel")
    routes = {n for n, entry in scene.routes.items() if entry.protocol not in DAEMONS}
    own = {network for network in routes if any(_covers(route, network) for route in written)}
    if not scene.tunnel_up:
        return Tried(None, "the server's inner address does not answer the client")
    lost = own - scene.reached
    inner = [route.network for route in scene.inner_routes]
    if lost and all(any(_covers(route, network) for route in inner) for network in lost):
        return Tried(None, f"{_passing(scene)}, though an inner route covers them")
    return Tried(bool(lost), _passing(scene))


def iroute_without_route(scene: Scene, end: End) -> Tried:
    """See if a network is unreachable until the kernel has a route into the tunnel.

    With a routing daemon that brings routes, only the networks that an `iroute` names are tried.
    """
    if scene.server.role != "server":
        return Tried(False, "no end is in `mode server`")
    inner = [route.network for route in scene.inner_routes]
    if scene.server_node.name in scene.lab.plans:
        if not scene.learned and not (_runs_bgp(scene) and _session_is_up(scene)):
            return Tried(None, "a routing daemon brings no routes, and no session of BGP is up")
        inner = [network for network in inner if network.prefixlen or not scene.learned]
    led = scene.routes.keys() | scene.reached
    for network in (n for n in scene.behind_client.keys() - led if any(_covers(route, n) for route in inner)):
        route = (str(network), "dev", scene.device("server"))
        scene.server_node.exec("ip", "route", "add", *route).raise_on_error()
        try:
            if scene.answers("server", scene.behind_client[network], 2):
                return Tried(True, f"{network} answers only after `ip route add {' '.join(route)}`")
        finally:
            scene.server_node.exec("ip", "route", "del", *route)
    return Tried(False, "no network behind the client answers because of a route alone")


def client_to_client(scene: Scene, end: End) -> Tried:
    """See if networks behind the server do not answer a client whose routes lead into the tunnel."""
    led = scene.led_into_tunnel("client")
    if not led:
        return Tried(None, "the client has no route into the tunnel to a network behind the server")
    if not scene.tunnel_up:
        return Tried(None, "the server's inner address does not answer the client")
    lost = [n for n in led if not scene.answers("client", scene.behind_server[n], 2)]
    return Tried(
        bool(lost), f"{named(lost)} behind the server: no answer" if lost else "all networks answer the client"
    )


def stale_routes(scene: Scene, end: End) -> Tried:
    """See if an inner route disappears while no packet uses it."""
    if not scene.server.has("stale-routes-check"):
        return Tried(False, "the server has no `stale-routes-check`")
    inner = [route.network for route in scene.inner_routes]
    covered = (n for n in scene.behind_client if n in scene.routes and any(_covers(route, n) for route in inner))
    first = next((scene.behind_client[network] for network in covered), None)
    verbose = scene.server.last("verb")
    if first is None or verbose is None or not (verbose.argument(0) or "").isdecimal() or int(verbose.arguments[0]) < 7:
        return Tried(
            None, "it needs an inner route and a route to a network behind it, and `verb 7`, which logs the checks"
        )
    size = scene.tunnel.server.log_size()
    wait_for(
        Expectation(
            what="four checks for stale routes",
            node=scene.server_node.name,
            look=lambda: scene.tunnel.server.log_lines("Checking stale routes", since=size),
            met=lambda lines: len(lines) >= 4,
            logs=scene.tunnel.server.log,
        ),
        within=WITHIN,
    )
    if scene.answers("server", first, 2):
        return Tried(False, f"{first} answers after four checks")
    # OpenVPN logs 0.0.0.0/0 as `/0`, and a route without a mask as its address.
    names = {f"'{name}'" for n in inner for name in (n, f"/{n.prefixlen}", n.network_address)}
    deleted = scene.tunnel.server.log_lines("Deleting stale route")
    if not any(name in line for line in deleted for name in names):
        return Tried(None, f"{first} does not answer, and the server's log has no deleted inner route")
    return Tried(True, f"{first} does not answer after four checks")


def pushed_iroute(scene: Scene, end: End) -> Tried:
    """See if the client refuses the pushed option."""
    if not (scene.client.has("client") or scene.client.has("pull")):
        return Tried(None, "the client pulls no options, so that it refuses none")
    lines = scene.tunnel.client.log_lines("option 'iroute' cannot be used in this context")
    return Tried(bool(lines), lines[0] if lines else "the client's log has no refused `iroute`")


def ebgp_policy(scene: Scene, end: End) -> Tried:
    """See if a daemon says that a session has no policy, or one that is not defined."""
    node = scene.node(end)
    plan = scene.lab.plans.get(node.name)
    if plan is None or plan.protocol != "bgp":
        return Tried(False, f"{node.name} does not run BGP")
    if not any(neighbor.up for _, neighbor in scene.lab.router(node.name).sessions()):
        return Tried(None, f"{node.name} has no session that is up")
    if plan.daemon != "frr":
        text = node.exec("birdc", "show", "protocols", "all").raise_on_error().stdout
        if re.search(r"put filter:\s+REJECT", text.partition("BGP state")[2]):
            return Tried(None, "BIRD's channels reject all routes: by their file or without one")
        return Tried(False, "BIRD's channels do not reject all routes")
    text = node.exec("vtysh", "-c", "show bgp summary").raise_on_error().stdout
    if _has_no_policy(text):
        return Tried(True, "`show bgp summary` has (Policy)")
    shown = node.exec("vtysh", "-c", "show bgp neighbors").raise_on_error().stdout
    undefined = _UNDEFINED.findall(shown)
    line = f"`{undefined[0]}`, without the asterisk of a policy that is defined" if undefined else "no undefined policy"
    return Tried(bool(undefined), f"`show bgp summary` has no (Policy); `show bgp neighbors` has {line}")


def outer_session(scene: Scene, end: End) -> Tried:
    """See if packets to a network of the other end leave past the tunnel, by a route of a daemon."""
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import IPv6

    node, device = scene.node(end), scene.device(end)
    for network, address in scene.behind("client" if end == "server" else "server").items():
        entry = node.fib.route(network)
        if entry is None or entry.protocol not in DAEMONS or device in entry.interfaces:
            continue
        past = sorted(entry.interfaces)[0]
        with node.capture(past) as capture:
            node.echo(address, count=3)
        frames = [packet.decode() for packet in capture.stop() if packet.outgoing]
        if any((ICMP in f or IPv6 in f) and getattr(f.payload, "dst", "") == str(address) for f in frames):
            return Tried(True, f"echo requests to {address} leave {node.name} in clear through {past}")
    return Tried(False, "no route of a daemon to a network of the other end leads past the tunnel")


def next_hop(scene: Scene, end: End) -> Tried:
    """See if BGP has routes of the other end whose next hop is outside the tunnel, and that do not lead into it."""
    node = scene.node(end)
    plan = scene.lab.plans.get(node.name)
    if plan is None or plan.protocol != "bgp":
        return Tried(False, f"{node.name} does not run BGP")
    inner = [a for each in _ENDS for a in scene.tunnel.addresses(scene.node(each).name).inner]
    led = scene.led_into_tunnel(end)
    for network in scene.behind("client" if end == "server" else "server"):
        paths = scene.lab.router(node.name).rib(family_of(network)).get(network, ())
        for path in (path for path in paths if path.peer is not None and network not in led):
            hops = [hop for hop in path.next_hops if not hop.is_link_local]
            if hops and not any(_is_in(hop, [*inner, path.peer]) for hop in hops):
                return Tried(True, f"{network} has the next hop {hops[0]}, and no route into the tunnel")
    return Tried(False, "no route of BGP to a network of the other end has a next hop outside the tunnel")


def session_hops(scene: Scene, end: End) -> Tried:
    """See if the session with the other end stays down, and a kernel drops its segments by their TTL."""
    nodes = (scene.server_node, scene.client_node)

    def dropped() -> dict[str, int]:
        return {
            f"{each.name}'s {DROPPED_BY_TTL}": counters(each.running.namespace).get(DROPPED_BY_TTL, 0) for each in nodes
        }

    return _session_or_refusal(scene, end, dropped, "no kernel drops a segment by its TTL")


def translated_session(scene: Scene, end: End) -> Tried:
    """See if the session with the other end stays down, and the kernel refuses its segments by their MD5 digest."""
    node = scene.node(end)

    def refused() -> dict[str, int]:
        now = counters(node.running.namespace)
        return {f"{node.name}'s {name}": now.get(name, 0) for name in REFUSED_BY_MD5}

    return _session_or_refusal(scene, end, refused, f"{node.name} refuses no segment by its MD5 digest")


def _session_or_refusal(scene: Scene, end: End, counted: Callable[[], Mapping[str, int]], none: str) -> Tried:
    """Wait for a BGP session of an end with the other one, or until one of the counters of refused segments rises.

    `none` says that none of them does.
    """
    node, other = scene.node(end), scene.node("client" if end == "server" else "server")
    plan, far = scene.lab.plans.get(node.name), scene.lab.plans.get(other.name)
    if plan is None or plan.protocol != "bgp":
        return Tried(False, f"{node.name} does not run BGP")
    if not scene.tunnel_up:
        return Tried(None, "the server's inner address does not answer the client")
    if far is None or far.protocol != "bgp":
        return Tried(None, f"{other.name} does not run BGP")
    before = counted()

    def look() -> tuple[bool, list[str]]:
        return _session_is_up(scene), [name for name, count in counted().items() if count > before[name]]

    logs = scene.lab.router(node.name).running.files
    try:
        up, rose = wait_for(Expectation(what="a session", node=node.name, look=look, met=any, logs=logs), within=WITHIN)
    except ExpectationFailed:
        return Tried(False, f"{node.name} has no session with {other.name}, and {none}")
    told = f"; {' and '.join(rose)} counted a segment" if rose else ""
    return Tried(not up and bool(rose), f"{node.name} has {'a' if up else 'no'} session with {other.name}{told}")


def no_pull(scene: Scene, end: End) -> Tried:
    """See if TLS comes up, and no data passes: with OpenVPN 2.6 and later the ends agree on no cipher."""
    roles = {scene.server.role, scene.client.role}
    if "server" not in roles:
        return Tried(False, "no end is in `mode server`")
    line, initiated = scene.log("failed to negotiate cipher"), scene.log("Peer Connection Initiated")
    happened = bool((line or "peer" in roles) and initiated and not scene.tunnel_up)
    return Tried(happened, (line or initiated) if happened else "no end has failed to negotiate a cipher")


def pushed_keepalive(scene: Scene, end: End) -> Tried:
    """See if a client's log shows other timers than its own file sets."""
    own: dict[str, str | None] = {}
    for option in scene.client.all("keepalive", "ping", "ping-restart", "ping-exit"):
        names = ("ping", "ping-restart") if option.name == "keepalive" else (option.name,)
        own |= {name: option.argument(number) for number, name in enumerate(names)}
    if end == "server" or not own:
        return Tried(False, "this end's file sets no keepalive that a push could replace")
    lines = scene.tunnel.client.log_lines("Timers: ")
    if not lines:
        return Tried(None, "the client's log does not show its timers")
    in_effect = dict(re.findall(r"(ping[a-z-]*) (\d+)", lines[-1].partition("Timers: ")[2]))
    other = {name: in_effect.get(name, "0") for name, text in own.items() if in_effect.get(name, "0") != text}
    return Tried(bool(other), lines[-1])


def mtu_mismatch(scene: Scene, end: End) -> Tried:
    """See if a packet of the device's MTU is lost."""
    if not scene.tunnel_up:
        line = scene.log("FRAG_IN error")
        return Tried(True if line else None, line or "the tunnel does not pass packets")
    if None in scene.large.values():
        return Tried(None, "an end has no inner address that could answer")
    lost = [other for other, passes in scene.large.items() if not passes]
    text = f"a packet of the device's MTU from the {lost[0]} is lost" if lost else "packets of both devices' MTU pass"
    return Tried(bool(lost), text)


UNDISTURBED: Mapping[str, Trial] = {
    "no-iroute": no_iroute,
    "one-family": one_family,
    "fixed-iroutes": fixed_iroutes,
    "route-without-iroute": route_without_iroute,
    "iroute-without-route": iroute_without_route,
    "client-to-client": client_to_client,
    "stale-routes": stale_routes,
    "pushed-iroute": pushed_iroute,
    "ebgp-policy": ebgp_policy,
    "pushed-keepalive": pushed_keepalive,
    "outer-session": outer_session,
    "next-hop": next_hop,
    "session-hops": session_hops,
    "translated-session": translated_session,
    "no-pull": no_pull,
    "mtu-mismatch": mtu_mismatch,
}
"""The trials by rule."""


def _has_no_policy(summary: str) -> bool:
    """Return whether bgpd's summary has (Policy), but for IPv4 of a neighbour with an IPv6 address.

    FRR activates IPv4 for each neighbour, whose next hops are then of no use there.
    """
    four = False
    for line in summary.splitlines():
        if line.endswith("Summary:") or "Unicast Summary" in line:
            four = line.startswith("IPv4")
        elif "(Policy)" in line and not (four and ":" in line.split()[0]):
            return True
    return False


def _covers(route: Prefix, network: Prefix) -> bool:
    """Return whether an inner route covers a network."""
    return (
        route.version == network.version and network.network_address in route and route.prefixlen <= network.prefixlen
    )


def _is_in(hop: Address, inner: Sequence[Interface | Address | None]) -> bool:
    """Return whether a next hop is one of the addresses, or in the network of one."""
    networks = [a.network if isinstance(a, Interface) else ip_network(a) for a in inner if a is not None]
    return any(hop in network for network in networks if network.version == hop.version)


def _runs_bgp(scene: Scene) -> bool:
    """Return whether the server's node runs BGP, as far as the lab knows."""
    plan = scene.lab.plans.get(scene.server_node.name)
    return plan is not None and plan.protocol == "bgp"


def _session_is_up(scene: Scene) -> bool:
    """Return whether each end that runs a daemon has a session with the other one; one end alone can take it for up."""
    ends = (scene.server_node.name, scene.client_node.name)
    states = []
    for here, there in (ends, ends[::-1]):
        if here in scene.lab.plans:
            # A translated address is that of no node.
            found = [n for where, n in scene.lab.router(here).sessions() if where in (there, "")]
            states.append(any(neighbor.up for neighbor in found))
    return all(states)


def _passing(scene: Scene) -> str:
    """Describe which networks behind the client the server reaches."""
    lost: frozenset[Prefix] = frozenset(scene.routes.keys() - scene.reached)
    reached = f"{named(scene.reached)} reached" if scene.reached else ""
    text = "; ".join(filter(None, [reached, f"{named(lost)} not reached" if lost else ""]))
    return text or "the server has no route into the tunnel"
