"""The commands that configure RouterOS at one end of a tunnel with its profile: certificates, OpenVPN, BGP.

An external node gets its addresses and routes as well. BGP is rendered for version 7 only.
"""

from collections.abc import Iterator, Mapping, Sequence

from lab.render.routeros.syntax import quoted
from lab.routing import Peer, RouterPlan, plan_router
from lab.topology import Prefix, Topology, Tunnel
from lab.topology.external import PROFILE, port_shown
from lab.topology.segments import endpoints_of, static_routes
from lab.tunnel import mode_of

_CIPHERS: Mapping[str, str] = {"BF-CBC": "blowfish128"}
_NETWORKS = "lab-networks"
_INSTANCE = "lab"


def commands(topology: Topology, node: str) -> str:
    """Return the commands for a node; empty if it is not external and no tunnel of it has a RouterOS profile."""
    external = topology.nodes[node].external
    tunnels = [t for t in topology.tunnels if (t.profile or "").startswith(PROFILE) and node in (t.client, t.server)]
    if not tunnels and not external:
        return ""
    at = f", at its end of {', '.join(tunnel.name for tunnel in tunnels)}" if tunnels else ""
    lines = [f"# {node}{at}; written from MikroTik's manual, not tested on RouterOS."]
    lines += [f"# Upload the files first.{'' if external else ' Addresses of LANs and links are not included.'}"]
    if external:
        lines += ["", *_links(topology, node)]
    for tunnel in tunnels:
        lines += ["", *(_client(tunnel) if node == tunnel.client else _server(tunnel))]
    plan = plan_router(topology, node)
    if plan is not None and plan.protocol == "bgp" and {tunnel.profile for tunnel in tunnels} <= {"routeros-7"}:
        devices = {t.device if node == t.client else t.server_device for t in tunnels}
        lines += ["", *_bgp(plan, [p for p in plan.peers if external or p.interface in devices])]
    elif plan is not None:
        lines += ["", "# BGP is rendered for RouterOS 7 only."]
    return "\n".join(lines) + "\n"


def _command(path: str, verb: str, **properties: object) -> str:
    """Return a line; in names `_` means `-` and `__` means `.`, and properties that are None are left out."""
    names = {name: name.replace("__", ".").replace("_", "-") for name in properties}
    assignments = [f"{names[name]}={quoted(str(value))}" for name, value in properties.items() if value is not None]
    return " ".join([path, verb, *assignments])


def _links(topology: Topology, node: str) -> Iterator[str]:
    for end in endpoints_of(topology, node):
        port = port_shown(end.interface)
        if end.ipv4 is not None:
            yield _command("/ip address", "add", address=end.ipv4, interface=port)
        if end.ipv6 is not None:
            yield _command("/ipv6 address", "add", address=end.ipv6, interface=port, advertise="no")
    for prefix, hop in static_routes(topology)[node]:
        family = "ip" if prefix.version == 4 else "ipv6"
        yield _command(f"/{family} route", "add", dst_address=prefix, gateway=hop)


def _certificates(tunnel: Tunnel, end: str) -> Iterator[str]:
    for name in ("ca.crt", f"{end}.crt", f"{end}.key"):
        kept = f"{tunnel.name}-{'ca' if name == 'ca.crt' else end}"
        yield _command("/certificate", "import", file_name=name, name=kept, passphrase="")


def _crypto(tunnel: Tunnel) -> dict[str, str]:
    (cipher,) = tunnel.options["data-ciphers"]
    plain = _CIPHERS.get(str(cipher).upper(), str(cipher).lower().replace("aes-", "aes"))
    old = tunnel.profile == "routeros-6"
    digest = str(tunnel.options.get("auth", "SHA1")).lower()
    return {
        "cipher": plain.removesuffix("-cbc") if old else plain,
        # Before 7.17 an authenticated cipher (GCM) did not work with a digest.
        "auth": "null" if plain.endswith("gcm") else digest,
    }


def _common(tunnel: Tunnel) -> dict[str, object]:
    new = tunnel.profile != "routeros-6"
    return {
        "mode": "ethernet" if mode_of(tunnel).traits.device == "tap" else "ip",
        "port": tunnel.port,
        **({"protocol": tunnel.transport} if new else {}),
        **_crypto(tunnel),
        "disabled": "no",
    }


def _client(tunnel: Tunnel) -> Iterator[str]:
    yield from _certificates(tunnel, "client")
    yield "# A user is mandatory; a server that checks certificates ignores it."
    yield _command(
        "/interface ovpn-client",
        "add",
        name=tunnel.name,
        connect_to=tunnel.server_outer,
        user=tunnel.client,
        password="",
        certificate=f"{tunnel.name}-client",
        add_default_route="no",
        use_peer_dns="no",
        **_common(tunnel),
    )
    yield "# IPv6: it is not known whether RouterOS accepts a pushed address, so it is set here."
    yield _command("/ipv6 address", "add", address=tunnel.client_ipv6, interface=tunnel.name, advertise="no")


def _server(tunnel: Tunnel) -> Iterator[str]:
    yield from _certificates(tunnel, "server")
    yield _command(
        "/ppp profile",
        "add",
        name=tunnel.name,
        local_address=tunnel.server_ipv4.ip,
        remote_address=tunnel.client_ipv4.ip,
    )
    yield "# The server requires a name and a password: the client needs `auth-user-pass` with these."
    yield _command("/ppp secret", "add", name=tunnel.client, password="", profile=tunnel.name, service="ovpn")
    yield _command(
        "/interface ovpn-server server",
        "add",
        name=f"{tunnel.name}-server",
        certificate=f"{tunnel.name}-server",
        require_client_certificate="yes",
        default_profile=tunnel.name,
        netmask=tunnel.server_ipv4.network.prefixlen,
        **_common(tunnel),
    )
    yield "# A separate interface for the client: routes through it need no `iroute`."
    yield _command("/interface ovpn-server", "add", name=tunnel.name, user=tunnel.client)
    yield _command("/ipv6 address", "add", address=tunnel.server_ipv6, interface=tunnel.name, advertise="no")


def _bgp(plan: RouterPlan, peers: Sequence[Peer]) -> Iterator[str]:
    yield "# For RouterOS 7.20 or later; earlier, `router-id` is of the connection, and `afi` is `address-families`."
    for prefix in plan.networks:
        family = "ip" if prefix.version == 4 else "ipv6"
        yield _command(f"/{family} firewall address-list", "add", list=_NETWORKS, address=prefix)
    yield _command("/routing bgp instance", "add", name=_INSTANCE, **{"as": plan.asn, "router-id": plan.router_id})
    for peer in peers:
        if peer.address is not None:
            yield _connection(plan, peer, plan.networks)


def _connection(plan: RouterPlan, peer: Peer, networks: tuple[Prefix, ...]) -> str:
    return _command(
        "/routing bgp connection",
        "add",
        name=peer.node,
        instance=_INSTANCE,
        remote__address=peer.address,
        remote__as=peer.asn,
        local__role="ibgp" if peer.asn == plan.asn else "ebgp",
        afi=",".join({"ipv4": "ip", "ipv6": "ipv6"}[family] for family in peer.families),
        hold_time=f"{plan.timers.hold}s",
        keepalive_time=f"{plan.timers.keepalive}s",
        output__network=_NETWORKS if networks else None,
        output__network_blackhole="yes" if networks else None,
    )
