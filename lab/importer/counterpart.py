"""Counterparts: the other end of a tunnel for which no files were given, made so that it fits the end that is there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, ip_network
from pathlib import Path, PurePosixPath

from lab.configs.openvpn.configuration import INLINE, Directive, parse, pushed
from lab.core.prefixes import Address, Prefix
from lab.importer.ends import End
from lab.importer.hosts import Host, MadeFile
from lab.importer.overlay import Overlay
from lab.importer.pairing import Pairing
from lab.topology.addresses import overlap

MAX_CLIENTS = 4
"""The counterparts of one server: one for each client for which it has options, up to this number."""
_SAME_AT_BOTH_ENDS = (
    "auth", "cipher", "comp-lzo", "compress", "data-ciphers", "data-ciphers-fallback", "dev-type", "fragment",
    "keysize", "ncp-ciphers", "tls-version-min", "tun-mtu",
)  # fmt: skip
_POOLS = (IPv4Network("10.255.0.0/16"), IPv4Network("172.31.0.0/16"), IPv4Network("192.168.0.0/16"))
_HOME = PurePosixPath("/etc/openvpn")


@dataclass(frozen=True)
class Place:
    """The directory of the topology, and the one beside it for files that the import writes."""

    topology: Path
    made: PurePosixPath
    """Relative to the topology's directory."""


def counterparts(hosts: Sequence[Host], ends: Sequence[End], pairing: Pairing, place: Place) -> list[Host]:
    """Return a counterpart for each end without one, and for each client for which a server has options."""
    return list(_Maker(hosts, ends, pairing, place).make())


class _Maker:
    def __init__(self, hosts: Sequence[Host], ends: Sequence[End], pairing: Pairing, place: Place) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._ends = ends
        self._pairing = pairing
        self._place = place
        self._names = set(self._hosts)
        self._inner: list[Prefix] = [network for end in ends for network in end.inner_networks]

    def make(self) -> Iterable[Host]:
        served: dict[int, End] = {}
        for left in self._pairing.open:
            if left.candidates:
                continue  # asked for, not made
            served.setdefault(id(left.client), left.client)
        for client in served.values():
            yield self._peer(client) if client.is_peer else self._server(client)
        for end in self._ends:
            partners = self._pairing.partners(end)
            if end.is_server:
                yield from self._clients(end, partners)
            elif end.is_peer and not partners and id(end) not in served:
                yield self._peer(end)

    # --- servers and clients -------------------------------------------------------------------------------

    def _server(self, client: End) -> Host:
        name = self._name(f"{client.host}-server")
        remote = client.remotes[0]
        gateway, network = self._inner_network(client)
        mask = network.netmask
        lines = [
            "mode server",
            "tls-server",
            "dev " + ("tap0" if client.tap else "tun0"),
            f"proto {'tcp-server' if remote.transport == 'tcp' else 'udp'}" + ("6" if remote.family == "ipv6" else ""),
            f"port {remote.port}",
            "topology subnet",
            'push "topology subnet"',
            f"ifconfig {gateway} {mask}",
            f'push "route-gateway {gateway}"',
            f"ifconfig-pool {network[-100]} {network[-10]} {mask}",
            "keepalive 10 60",
            "dh none",
            *_same(client),
            *self._keys(client, server=True),
            "client-config-dir /etc/openvpn/clients",
            "verb 4",
        ]
        if client.configuration.has("auth-user-pass"):
            lines += ["script-security 2", "auth-user-pass-verify /etc/openvpn/accept-all via-file"]
            if not client.configuration.has("cert", "pkcs12"):
                lines += ["verify-client-cert none", "username-as-common-name"]
        address = next(a for a in network.hosts() if a != gateway)
        options = [f"ifconfig-push {address} {mask}"]
        if not client.tap:
            options += ["iroute 0.0.0.0 0.0.0.0", "iroute-ipv6 ::/0"]
        texts = {
            _HOME / "server.conf": _text(f"the server of {client}", lines),
            _HOME / "clients" / "DEFAULT": _text(
                "every client gets this address and an iroute for everything", options
            ),
            _HOME / "accept-all": "#!/bin/sh\nexit 0\n",
        }
        if "accept-all" not in "\n".join(lines):
            del texts[_HOME / "accept-all"]
        names = frozenset(r.host.lower() for r in client.remotes if r.address is None)
        addresses = frozenset(r.address for r in client.remotes if r.address is not None)
        return self._host(name, "server.conf", texts, f"the OpenVPN server of {client.host}", names, addresses)

    def _inner_network(self, client: End) -> tuple[Address, IPv4Network]:
        """Return a server's inner address and network: around a BGP neighbour of the client that no file places."""
        router = self._hosts[client.host].router
        held = [a.network for i in self._hosts[client.host].interfaces for a in i.addresses]
        for neighbor in router.neighbors if router is not None else ():
            address = neighbor.address
            if address is not None and address.version == 4 and not any(address in net for net in held):
                return address, IPv4Network(f"{address}/24", strict=False)
        network = next(n for pool in _POOLS for n in pool.subnets(new_prefix=24) if not self._in_use(n))
        self._inner.append(network)
        return network[1], network

    def _in_use(self, network: IPv4Network) -> bool:
        return any(overlap(network, other) for other in self._inner)

    def _clients(self, server: End, partners: Sequence[End]) -> Iterable[Host]:
        known = {p.common_name for p in partners} | {p.host for p in partners}
        named = [name for name in server.client_names if name not in known]
        if partners and len(named) == len(server.client_names):
            named = named[len(partners) :]  # the partners are some of them, it is not known which
        names: list[str | None] = [*named[:MAX_CLIENTS]]
        if not names and not partners:
            names = [None]
        for name in names:
            yield self._client(server, name, of=len(named))

    def _client(self, server: End, client: str | None, *, of: int) -> Host:
        name = self._name(_as_name(client) if client is not None else f"{server.host}-client")
        transport = "tcp-client" if "tcp" in server.transports else "udp"
        common_name = client or name
        lines = [
            "client",
            "dev " + ("tap0" if server.tap else "tun0"),
            f"proto {transport}",
            f"remote {server.local[0] if server.local else server.host} {server.port}",
            "nobind",
            "resolv-retry infinite",
            "connect-retry 1 5",
            *_same(server),
            *self._keys(server, server=False, stem=_as_name(common_name)),
            "verb 4",
        ]
        if server.configuration.has("auth-user-pass-verify", "plugin", "management-client-auth"):
            lines.append(f"auth-user-pass /etc/openvpn/{_as_name(common_name)}.auth")
        texts = {_HOME / "client.conf": _text(f"the client {common_name} of {server}", lines)}
        what = f"the client {common_name} of {server.host}"
        if of > MAX_CLIENTS:
            what += f" (one of {of} for which the server has options; the lab makes {MAX_CLIENTS})"
        return self._host(name, "client.conf", texts, what, frozenset(), frozenset())

    def _keys(self, end: End, *, server: bool, stem: str = "") -> list[str]:
        """Return the options of keys of the other end; the lab issues the files that they name."""
        config = end.configuration
        lines: list[str] = []
        if config.has("ca", "cert", "pkcs12", "tls-client", "tls-server", "client") or end.is_server:
            name = stem or ("server" if server else "client")
            lines = [f"ca {_HOME}/ca.crt", f"cert {_HOME}/{name}.crt", f"key {_HOME}/{name}.key"]
        for option in ("tls-auth", "tls-crypt", "tls-crypt-v2"):
            if directive := config.last(option):
                lines.append(
                    f"{option} {_HOME}/{option}.key{_other_direction(config.last('key-direction'), directive)}"
                )
        return lines

    # --- peers ---------------------------------------------------------------------------------------------

    def _peer(self, end: End) -> Host:
        name = self._name(f"{end.host}-peer")
        config = end.configuration
        remote = end.remotes[0] if end.remotes else None
        lines = ["dev " + ("tap0" if end.tap else "tun0")]
        tcp = "tcp" in end.transports
        proto = next((p.argument(0) for p in config.all("proto")), None) or "udp"
        lines.append(f"proto {('tcp-server' if remote else 'tcp-client') if tcp else proto}")
        if remote is None:
            lines += [f"remote {end.local[0] if end.local else end.host} {end.port}", "nobind", "connect-retry 1 5"]
        else:
            lines += [f"port {remote.port}"]
            if not config.has("nobind"):
                lines += ["float"]
        lines += [_mirrored(d) for d in config.all("ifconfig", "ifconfig-ipv6") if len(d.arguments) > 1]
        if (topology := config.last("topology")) is not None:
            lines.append(str(topology))
        lines += ["keepalive 10 60"]
        if secret := config.last("secret"):
            lines.append(f"secret {_HOME}/secret.key{_other_direction(config.last('key-direction'), secret)}")
            lines += [str(d) for d in config.all("ignore-unknown-option", "allow-deprecated-insecure-static-crypto")]
        else:
            server = config.has("tls-client")
            lines.append("tls-server" if server else "tls-client")
            lines += ["dh none"] if server else []
            lines += self._keys(end, server=server)
        lines += [*_same(end), "verb 4"]
        texts = {_HOME / "peer.conf": _text(f"the peer of {end}", lines)}
        names = frozenset(r.host.lower() for r in end.remotes if r.address is None)
        addresses = frozenset(r.address for r in end.remotes if r.address is not None)
        return self._host(name, "peer.conf", texts, f"the peer of {end.host}", names, addresses)

    # --- hosts ---------------------------------------------------------------------------------------------

    def _host(
        self,
        name: str,
        file: str,
        texts: Mapping[PurePosixPath, str],
        what: str,
        names: frozenset[str],
        addresses: frozenset[Address],
    ) -> Host:
        below = self._place.made / name
        shown = f"{below}{_HOME / file}"
        disk = Overlay(texts=texts, shown=str(below))
        end = End(name, shown, parse(texts[_HOME / file], _HOME / file, disk), own=True)
        made = tuple(MadeFile(below / str(path).lstrip("/"), text) for path, text in texts.items())
        note = (
            f"{what}, which is not among the files; give its directory to run it with its own: lab import {name}=DIR …"
        )
        return Host(
            name=name,
            directory=self._place.topology / below,
            ends=(end,),
            made=made,
            notes=(note,),
            own=True,
            remote_names=names,
            addresses=addresses,
        )

    def _name(self, wanted: str) -> str:
        name = next(n for n in (wanted, *(f"{wanted}-{k}" for k in range(2, 10_000))) if n not in self._names)
        self._names.add(name)
        return name


def client_addresses(server: End, client: str) -> list[IPv4Interface | IPv6Interface]:
    """Return the inner addresses that a server gives to a client by its options."""
    found: list[IPv4Interface | IPv6Interface] = []
    for entry in server.client_options.entries:
        if entry.client not in (client, None):
            continue
        for d in entry.directives:
            try:
                if d.name == "ifconfig-push":
                    found.append(IPv4Interface(d.arguments[0]))
                elif d.name == "ifconfig-ipv6-push":
                    found.append(IPv6Interface(d.arguments[0]))
            except (ValueError, IndexError):
                continue
    return found


def _same(end: End) -> list[str]:
    """Return the options that must be the same at both ends; a server that pushes compression has them from `push`."""
    own = {d.name: d for d in end.configuration.directives if d.name in _SAME_AT_BOTH_ENDS}
    for d in pushed(end.configuration.directives):
        own.pop(d.name, None)
    return [str(d) for d in own.values()]


def _other_direction(option: Directive | None, key: Directive) -> str:
    """Return the direction of a key at the other end, with a space before it; empty if the key has none."""
    direction = key.argument(1) or (option.argument(0) if option else None)
    return {"0": " 1", "1": " 0"}.get(direction or "", "")


def _mirrored(d: Directive) -> str:
    if d.name == "ifconfig" and d.arguments[1].startswith("255."):
        network = ip_network(f"{d.arguments[0]}/{d.arguments[1]}", strict=False)
        second = next(address for address in network.hosts() if str(address) != d.arguments[0])
        return f"ifconfig {second} {d.arguments[1]}"
    if d.name == "ifconfig":
        return f"ifconfig {d.arguments[1]} {d.arguments[0]}"
    mine, _, length = d.arguments[0].partition("/")
    other = d.arguments[1].partition("/")[0]
    return f"ifconfig-ipv6 {other}/{length or 64} {mine}"


def _text(what: str, lines: Iterable[str]) -> str:
    head = f"# Made by `lab import`: {what}. This is not one of your files.\n"
    return head + "".join(f"{line}\n" for line in lines if INLINE not in line)


def _as_name(text: str) -> str:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text).strip("._-")[:60]
    return name or "client"
