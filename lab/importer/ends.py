"""The ends of tunnels in the files of hosts: one OpenVPN process each, with what a pairing compares."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import PurePosixPath

from cryptography import x509
from cryptography.x509.oid import NameOID

from lab.configs.disk import Spot, Unreadable
from lab.configs.numbers import is_number
from lab.configs.openvpn.client_options import AllClientOptions, read_client_options
from lab.configs.openvpn.configuration import INLINE, Configuration, Directive
from lab.core.prefixes import Address, Family, Interface, Prefix

DEFAULT_PORT = 1194
SHARED_SECRETS = ("secret", "tls-auth", "tls-crypt")
"""The options whose key is the same at both ends."""


@dataclass(frozen=True)
class Remote:
    """A `remote` of a configuration."""

    host: str
    """An address or a name."""
    port: int
    transport: str
    """`udp` or `tcp`."""
    family: Family | None
    """The family that the protocol asks for, or that of the address; None if either may be used."""
    spot: Spot

    @property
    def address(self) -> Address | None:
        """The address; None for a name."""
        return _address(self.host)


@dataclass(frozen=True)
class End:
    """One OpenVPN process of a host."""

    host: str
    file: str
    """The configuration file, relative to the topology file."""
    configuration: Configuration
    path: str | None = None
    """Its path in the node, where the lab would not find the files that it names without it."""
    own: bool = False
    """True for a configuration that the lab made as a counterpart."""

    def __str__(self) -> str:
        return f"{self.host} ({self.file})"

    @property
    def is_server(self) -> bool:
        """True for a server of clients (`mode server`)."""
        return self.configuration.role == "server"

    @property
    def is_peer(self) -> bool:
        """True for one of the two ends of a point-to-point tunnel."""
        return self.configuration.role == "peer"

    @property
    def listens(self) -> bool:
        """True if another end can connect to it."""
        return self.is_server or (self.is_peer and not (self.remotes and self.configuration.has("nobind")))

    @property
    def connects(self) -> bool:
        """True if it connects to another end."""
        return not self.is_server and bool(self.remotes)

    @cached_property
    def port(self) -> int:
        """The port on which it listens."""
        option = self.configuration.last("lport") or self.configuration.last("port")
        return _port(option.argument(0) if option else None) or DEFAULT_PORT

    @cached_property
    def transports(self) -> frozenset[str]:
        """The transport protocols, `udp` or `tcp`."""
        return self.configuration.transports

    @cached_property
    def tap(self) -> bool:
        """True for a tap device."""
        return self.configuration.device == "tap"

    @cached_property
    def device(self) -> str:
        """The interface as the file names it: `tun0`, or `tun` if the kernel chooses the number."""
        option = self.configuration.last("dev")
        return (option.argument(0) if option else None) or "tun"

    @cached_property
    def remotes(self) -> tuple[Remote, ...]:
        """The `remote` options, in order."""
        found = [self._remote(d) for d in self.configuration.all("remote") if d.arguments]
        return tuple(dict.fromkeys(found))

    @cached_property
    def local(self) -> tuple[Address, ...]:
        """The outer addresses to which it binds."""
        found = [_address(d.argument(0) or "") for d in self.configuration.all("local")]
        return tuple(address for address in found if address is not None)

    @cached_property
    def inner(self) -> tuple[Interface, ...]:
        """Its own inner addresses, as far as the file sets them."""
        return tuple(mine for mine, _ in self._ifconfig)

    @cached_property
    def inner_peers(self) -> tuple[Address, ...]:
        """The other end's inner addresses, as far as the file sets them."""
        return tuple(other for _, other in self._ifconfig if other is not None)

    @cached_property
    def inner_networks(self) -> tuple[Prefix, ...]:
        """The networks of the tunnel's inner addresses."""
        found: list[Prefix] = [i.network for i in self.inner]
        found += [_host_network(peer) for peer in self.inner_peers]
        for d in self.configuration.all("server", "server-ipv6", "ifconfig-pool", "ifconfig-ipv6-pool"):
            text = "/".join(d.arguments[:2]) if d.name == "server" else d.argument(0) or ""
            if d.name != "ifconfig-pool":
                found += _network(text)
        return tuple(dict.fromkeys(found))

    @cached_property
    def _ifconfig(self) -> list[tuple[Interface, Address | None]]:
        found: list[tuple[Interface, Address | None]] = []
        for d in self.configuration.all("ifconfig"):
            mine, second = _address(d.argument(0) or ""), d.argument(1) or ""
            if mine is None or mine.version != 4:
                continue
            other = _address(second)
            if second.startswith("255."):
                found += [(i, None) for i in _interface(f"{mine}/{second}") if isinstance(i, IPv4Interface)]
            else:
                found.append((IPv4Interface(mine), other))
        for d in self.configuration.all("ifconfig-ipv6"):
            for interface in _interface(d.argument(0) or ""):
                if isinstance(interface, IPv6Interface):
                    found.append((interface, _address((d.argument(1) or "").partition("/")[0])))
        for d in self.configuration.all("server"):
            found += [(i, None) for network in _network("/".join(d.arguments[:2])) for i in _first(network)]
        for d in self.configuration.all("server-ipv6"):
            found += [(i, None) for network in _network(d.argument(0) or "") for i in _first(network)]
        return found

    @cached_property
    def client_options(self) -> AllClientOptions:
        """The options of single clients, of a server."""
        return read_client_options(self.configuration)

    @cached_property
    def client_names(self) -> tuple[str, ...]:
        """The clients for which the server has options, by their common names."""
        return tuple(e.client for e in self.client_options.entries if e.client is not None and e.source == "file")

    @cached_property
    def common_name(self) -> str | None:
        """The CN of its certificate, if the certificate is at hand."""
        text = self.material("cert")
        try:
            subject = x509.load_pem_x509_certificate((text or "").encode()).subject
        except ValueError:
            return None
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else None

    @cached_property
    def expected_names(self) -> frozenset[str]:
        """The CN or subject that it demands of the other end (`verify-x509-name`)."""
        return frozenset(d.arguments[0] for d in self.configuration.all("verify-x509-name") if d.arguments)

    def digest(self, option: str) -> str | None:
        """Return a digest of the key or certificate in an option; None if it is not at hand."""
        text = self.material(option)
        if text is None:
            return None
        lines = [line.strip() for line in text.splitlines()]
        body = "".join(line for line in lines if line and not line.startswith("#")).lower()
        return hashlib.sha256(body.encode()).hexdigest()

    def material(self, option: str) -> str | None:
        """Return the text of the file or the block of an option; None if it is not at hand."""
        directive = self.configuration.last(option)
        if directive is None or not directive.arguments:
            return None
        try:
            if directive.arguments[0] == INLINE:
                return _inline(self.configuration.disk.text(self.configuration.path), option)
            return self.configuration.disk.text(self.configuration.locate(option, directive.arguments[0]))
        except Unreadable:
            return None

    def _remote(self, d: Directive) -> Remote:
        rport = self.configuration.last("rport") or self.configuration.last("port")
        proto = d.argument(2) or next((p.argument(0) for p in self.configuration.all("proto")), None) or "udp"
        address = _address(d.arguments[0])
        family: Family | None = "ipv4" if proto[3:4] == "4" else "ipv6" if proto[3:4] == "6" else None
        if address is not None:
            family = "ipv4" if address.version == 4 else "ipv6"
        port = _port(d.argument(1)) or _port(rport.argument(0) if rport else None) or DEFAULT_PORT
        return Remote(d.arguments[0], port, "tcp" if proto.startswith("tcp") else "udp", family, d.spot)


def named_files(configuration: Configuration) -> Iterator[tuple[Directive, PurePosixPath]]:
    """Generate the options that name a file or a directory, with its path in the node."""
    for directive in configuration.directives:
        word = directive.argument(0)
        if directive.name in _FILE_OPTIONS and word and word != INLINE:
            yield directive, configuration.locate(directive.name, word)


_FILE_OPTIONS = frozenset(
    ("client-config-dir", "client-connect", "auth-user-pass-verify", "up", "down", "route-up", "learn-address")
)


def _inline(text: str, option: str) -> str | None:
    found = re.search(rf"(?ms)^\s*<{re.escape(option)}>[ \t\r]*\n(.*?)^\s*</{re.escape(option)}>", text)
    return found[1] if found else None


def _port(text: str | None) -> int | None:
    return int(text) if text and is_number(text) and 0 < int(text) < 65536 else None


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _interface(text: str) -> list[Interface]:
    try:
        return [ip_interface(text)]
    except ValueError:
        return []


def _network(text: str) -> list[Prefix]:
    try:
        return [ip_network(text, strict=False)]
    except ValueError:
        return []


def _host_network(address: Address) -> Prefix:
    return ip_network(address)


def _first(network: Prefix) -> list[Interface]:
    """Return a server's own address, the first of its network; none if the network has no other than its own."""
    return [] if network.num_addresses == 1 else _interface(f"{network[1]}/{network.prefixlen}")
