"""Recognise a file by its content: a configuration of a program, a key, a program's output, or none of these.

The name decides only where the content cannot, as for `hostname`. Nothing is executed, and at most 64 KiB are read.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from lab.configs import bird, frr
from lab.configs.daemons_file import looks_like_daemons
from lab.configs.disk import Disk
from lab.configs.forms import form_of
from lab.configs.openvpn.content import openvpn_kind

HEAD = 64 << 10
"""The bytes that decide."""


class FileKind(StrEnum):
    """The kinds of files, each with its name in messages."""

    OPENVPN_SERVER = "a server configuration of OpenVPN"
    OPENVPN_CLIENT = "a client configuration of OpenVPN"
    OPENVPN_PEER = "a configuration of one of OpenVPN's two peers"
    OPENVPN_CLIENT_OPTIONS = "options of one client (a file of client-config-dir)"
    OPENVPN_FRAGMENT = "a part of a configuration of OpenVPN"
    FRR = "a configuration of FRR or Quagga"
    VTYSH = "a vtysh.conf, which has no routes and no neighbours"
    DAEMONS = "the `daemons` file of FRR or Quagga"
    BIRD = "a configuration of BIRD"
    FOREIGN = "a configuration of another system"
    STATIC_KEY = "a static key of OpenVPN (secret, tls-auth or tls-crypt)"
    TLS_CRYPT_V2_SERVER = "a server's key of tls-crypt-v2"
    TLS_CRYPT_V2_CLIENT = "a client's key of tls-crypt-v2"
    PRIVATE_KEY = "a private key"
    CERTIFICATE = "a certificate"
    CERTIFICATE_REQUEST = "a certificate request"
    CRL = "a certificate revocation list"
    DH = "Diffie-Hellman parameters"
    PKCS12 = "a PKCS #12 file"
    SCRIPT = "a script"
    IP_ADDRESS = "an output of `ip address`"
    IP_ROUTE = "an output of `ip route`"
    SYSCTL = "settings of sysctl"
    NFTABLES = "a ruleset of nftables"
    IPTABLES = "an output of `iptables-save`"
    HOSTS = "a hosts file"
    HOSTNAME = "a hostname file"
    IFUPDOWN = "a file of /etc/network/interfaces"
    NETPLAN = "a file of netplan"
    UNIT = "a unit of systemd"
    NETWORKD = "a .network file of systemd-networkd"
    IFCFG = "an ifcfg file of network-scripts"
    NETWORKMANAGER = "a connection of NetworkManager"
    TOPOLOGY = "a topology"
    EMPTY = "an empty file"
    BINARY = "binary data"
    UNKNOWN = "a file of an unknown kind"


OPENVPN_PROCESSES = (FileKind.OPENVPN_SERVER, FileKind.OPENVPN_CLIENT, FileKind.OPENVPN_PEER)
"""The kinds that an OpenVPN process can start with."""


@dataclass(frozen=True)
class Recognised:
    """The kind of a file."""

    kind: FileKind
    what: str
    """Its name in messages, which may say more than the kind."""


def recognise(path: PurePosixPath, disk: Disk | None = None) -> Recognised:
    """Return what a file is; raises `Unreadable` if it cannot be opened."""
    octets = (disk or Disk()).head(path, HEAD + 1)
    return recognise_content(octets[:HEAD], path.name, whole=len(octets) <= HEAD)


def recognise_content(octets: bytes, name: str = "", *, whole: bool = True) -> Recognised:
    """Return what the first bytes of a file are; `whole` is False if there are more."""
    kind = _binary(octets)
    if kind is not None:
        return Recognised(kind, str(kind))
    text = octets.decode(errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")
    if not whole:
        text = text.rpartition("\n")[0] or text
    if not text.strip():
        return Recognised(FileKind.EMPTY, str(FileKind.EMPTY))
    if (form := form_of(text)) is not None:
        return Recognised(FileKind.FOREIGN, form.name)
    kind = _of_text(text, name)
    return Recognised(kind, _CONTENT_OF_PARTS.get(_part(text), str(kind)) if kind in _PARTS else str(kind))


_PARTS = (FileKind.OPENVPN_FRAGMENT,)
_CONTENT_OF_PARTS = {"management": "a part of a configuration of OpenVPN, with options of management only"}


def _part(text: str) -> str:
    options = [
        line.split()[0] for line in text.split("\n") if line.strip() and not line.lstrip().startswith(("#", ";"))
    ]
    return "management" if options and all(option.startswith("management") for option in options) else ""


def _binary(octets: bytes) -> FileKind | None:
    """Return the kind of a file that is not text; None for text."""
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        return FileKind.BINARY  # UTF-16
    if octets[:1] == b"\x30" and b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" in octets[:128]:
        return FileKind.PKCS12  # DER with the object identifier of PKCS #7 data
    controls = sum(octet < 9 or 13 < octet < 27 or 27 < octet < 32 for octet in octets)
    undecoded = octets.decode(errors="replace").count("\ufffd")
    return FileKind.BINARY if b"\0" in octets or controls + undecoded > len(octets) // 10 else None


def _of_text(text: str, name: str) -> FileKind:
    if (kind := _pem(text)) is not None:
        return kind
    for known, patterns in _PATTERNS:
        if all(re.search(pattern, text) for pattern in patterns):
            return known
    if text.startswith("#!"):
        return FileKind.SCRIPT
    if looks_like_daemons(text):
        return FileKind.DAEMONS
    if bird.looks_like_bird(text):
        return FileKind.BIRD
    if frr.looks_like_frr(text):
        return FileKind.VTYSH if _is_vtysh(text) else FileKind.FRR
    for known, line in _LINES:
        if _all_lines(text, line):
            return known
    if (openvpn := openvpn_kind(text)) is not None:
        return FileKind[f"OPENVPN_{openvpn}"]
    if name == "hostname" and re.fullmatch(r"[A-Za-z0-9.-]{1,253}\s*", text):
        return FileKind.HOSTNAME
    return FileKind.UNKNOWN


_BEGIN = re.compile(r"(?m)^-----BEGIN ([A-Za-z0-9 -]{1,60})-----")
_INLINE = re.compile(r"(?m)^[ \t]*<(ca|cert|key|tls-auth|tls-crypt|tls-crypt-v2|secret|dh|pkcs12|extra-certs)>")
_OPENVPN_KEYS = {
    "OpenVPN Static key V1": FileKind.STATIC_KEY,
    "OpenVPN tls-crypt-v2 server key": FileKind.TLS_CRYPT_V2_SERVER,
    "OpenVPN tls-crypt-v2 client key": FileKind.TLS_CRYPT_V2_CLIENT,
}
_PEM = (
    ("PRIVATE KEY", FileKind.PRIVATE_KEY),
    ("X509 CRL", FileKind.CRL),
    ("DH PARAMETERS", FileKind.DH),
    ("CERTIFICATE REQUEST", FileKind.CERTIFICATE_REQUEST),
    ("CERTIFICATE", FileKind.CERTIFICATE),
)
"""The labels of PEM (RFC 7468) by their end; a file with a key and a certificate is a key."""


def _pem(text: str) -> FileKind | None:
    if _INLINE.search(text):
        return None  # a profile with inline blocks
    labels = _BEGIN.findall(text)
    for label in labels:
        if label in _OPENVPN_KEYS:
            return _OPENVPN_KEYS[label]
    return next((kind for end, kind in _PEM if any(label.endswith(end) for label in labels)), None)


_PATTERNS: tuple[tuple[FileKind, tuple[str, ...]], ...] = (
    (FileKind.NFTABLES, (r"(?m)^[ \t]*table (ip|ip6|inet|arp|bridge|netdev) [\w.-]+ \{",)),
    (FileKind.NFTABLES, (r"\A#!\s*/\S*/nft\b",)),
    (FileKind.IPTABLES, (r"(?m)^\*(filter|nat|mangle|raw|security)\s*$", r"(?m)^:[\w-]+ \S+ \[")),
    (FileKind.IP_ADDRESS, (r'\A\s*\[\s*\{[^{}\[\]]{0,400}"ifname"\s*:',)),
    (FileKind.IP_ROUTE, (r'\A\s*\[\s*\{\s*("type"\s*:\s*"\w+"\s*,\s*)?"dst"\s*:',)),
    (FileKind.IP_ADDRESS, (r"\A\s*\d+: [^\s:]+: <[A-Z0-9_,-]*> mtu \d+ ",)),
    (FileKind.NETPLAN, (r"(?m)^network:", r"(?m)^[ \t]+(ethernets|bridges|vlans|bonds|tunnels|wifis|renderer):")),
    (FileKind.TOPOLOGY, (r"(?m)^topology:", r"(?m)^[ \t]+nodes:")),
    (FileKind.UNIT, (r"(?m)^\[(Service|Timer|Socket|Path)\]", r"(?m)^\[(Unit|Install)\]")),
    (FileKind.NETWORKD, (r"(?m)^\[Match\]", r"(?m)^\[Network\]", r"(?m)^Name=")),
    (FileKind.NETWORKMANAGER, (r"(?m)^\[connection\]", r"(?m)^\[ipv[46]\]", r"(?m)^id=")),
    (FileKind.IFCFG, (r"(?m)^(BOOTPROTO|IPADDR\d?)=", r"(?m)^(DEVICE|NAME|ONBOOT)=")),
    (FileKind.IFUPDOWN, (r"(?m)^[ \t]*iface[ \t]+\S+[ \t]+inet6?[ \t]+\w+[ \t]*$",)),
)
"""Kinds of which a text matches each pattern."""
_ROUTE = r"(default|[0-9a-fA-F.:]+(/\d+)?)"
_LINES = (
    (FileKind.SYSCTL, re.compile(r"-?(net|kernel|vm|fs|dev|abi|user|sunrpc|debug)[./][\w./:*@-]+\s*=.*", re.ASCII)),
    (
        FileKind.IP_ROUTE,
        re.compile(
            rf"((blackhole|unreachable|prohibit|unicast|broadcast|local|multicast|anycast) )?{_ROUTE} "
            r"((via|dev|proto|scope|src|metric|nhid|table|linkdown|onlink|pref|expires|mtu|error)\b.*)"
            r"|\s+nexthop via .*"
        ),
    ),
    (FileKind.HOSTS, re.compile(r"[0-9a-fA-F:.]+(%\w+)?\s+[\w.-]+(\s+[\w.-]+)*\s*(#.*)?", re.ASCII)),
)  # fmt: skip
"""Kinds of which each line has the same form."""


def _all_lines(text: str, pattern: re.Pattern[str]) -> bool:
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith(("#", ";"))]
    return bool(lines) and all(pattern.fullmatch(line) or pattern.fullmatch(line.strip()) for line in lines)


def _is_vtysh(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith(("!", "#"))]
    return all(
        re.match(r"\s*(no )?(service integrated-vtysh-config|hostname|username|banner)\b", line) for line in lines
    )
