"""The subject and usages of a certificate that the lab issues, as the files of both ends ask for them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from lab.configs.disk import Unreadable
from lab.configs.openvpn.client_options import read_client_options
from lab.own.draft import Draft

if TYPE_CHECKING:
    from cryptography import x509

COMMON_NAME: Final = "2.5.4.3"
_ATTRIBUTES: Final = {
    "CN": COMMON_NAME, "C": "2.5.4.6", "ST": "2.5.4.8", "L": "2.5.4.7", "O": "2.5.4.10", "OU": "2.5.4.11",
    "emailAddress": "1.2.840.113549.1.9.1", "name": "2.5.4.41", "serialNumber": "2.5.4.5", "SN": "2.5.4.4",
    "GN": "2.5.4.42", "title": "2.5.4.12", "UID": "0.9.2342.19200300.100.1.1", "DC": "0.9.2342.19200300.100.1.25",
}  # fmt: skip
"""The attributes of a subject by OpenSSL's names."""
_EXTENDED: Final = {
    "TLS Web Server Authentication": "1.3.6.1.5.5.7.3.1",
    "TLS Web Client Authentication": "1.3.6.1.5.5.7.3.2",
    "Code Signing": "1.3.6.1.5.5.7.3.3",
    "E-mail Protection": "1.3.6.1.5.5.7.3.4",
    "IPSec End System": "1.3.6.1.5.5.7.3.5",
    "IPSec Tunnel": "1.3.6.1.5.5.7.3.6",
    "IPSec User": "1.3.6.1.5.5.7.3.7",
}
_SERVER, _CLIENT = _EXTENDED["TLS Web Server Authentication"], _EXTENDED["TLS Web Client Authentication"]
_OID: Final = re.compile(r"[0-2](\.\d+)+")
_MAX_CN: Final = 64
"""RFC 5280's upper bound, which OpenSSL enforces too."""
_GENERIC: Final = frozenset({"client", "cert", "crt", "user", "peer", "vpn", "openvpn", "mycert", "certificate", "tls"})
"""Names of files that do not name a client."""

Subject = tuple[tuple[str, str], ...]
"""Object identifiers and values, in the order of the certificate."""


@dataclass(frozen=True)
class Usages:
    """The usages of a certificate."""

    usage: Literal["server", "client", "both"]
    extended: tuple[str, ...]
    key_usage: int


def subject_of(certificate: "x509.Certificate") -> Subject:
    """Return the subject of a certificate at hand."""
    return tuple((attribute.oid.dotted_string, str(attribute.value)) for attribute in certificate.subject)


def common_name_of(subject: Subject) -> str:
    """Return the CN of a subject; empty if it has none."""
    return next((value for oid, value in subject if oid == COMMON_NAME), "")


def asked_subject(draft: Draft, peers: Sequence[Draft], taken: Iterable[str]) -> Subject:
    """Return the subject for a process whose certificate is not at hand.

    `taken` are the names of other clients of its servers.
    """
    taken = set(taken)
    for peer in peers:
        asked = peer.configuration.last("verify-x509-name")
        if asked is None or not asked.arguments:
            continue
        name, how = asked.arguments[0], asked.argument(1) or "subject"
        if how == "subject" and (subject := _parse(name)):
            return subject
        if how == "name":
            return ((COMMON_NAME, name),)
        if how == "name-prefix":
            fitting = [n for n in _candidates(draft, peers) if n.startswith(name) and n not in taken]
            return ((COMMON_NAME, _short(fitting[0] if fitting else f"{name}{draft.node}")),)
    fitting = [name for name in _candidates(draft, peers) if name not in taken]
    return ((COMMON_NAME, _short(fitting[0] if fitting else draft.name)),)


def user_name(draft: Draft, peers: Sequence[Draft], taken: Iterable[str]) -> str:
    """Return the user name for a client whose credentials are not at hand."""
    taken = set(taken)
    return next((name for name in _candidates(draft, peers) if name not in taken), draft.name)


def known_clients(server: Draft) -> list[str]:
    """Return the names of a server's clients in `client-config-dir` and `ifconfig-pool-persist`."""
    names = [entry.client for entry in read_client_options(server.configuration).entries if entry.client]
    persistent = server.configuration.last("ifconfig-pool-persist")
    if persistent is not None and persistent.arguments:
        try:
            text = server.disk.text(server.resolve(persistent.arguments[0]))
        except Unreadable:
            text = ""
        names += [line.partition(",")[0].strip() for line in text.splitlines() if "," in line]
    return list(dict.fromkeys(name for name in names if name and len(name) <= _MAX_CN))


def _candidates(draft: Draft, peers: Sequence[Draft]) -> list[str]:
    """Return names for a process, the best first."""
    file = draft.configuration.last("cert") or draft.configuration.last("pkcs12")
    name = file.argument(0) if file else None
    stem = PurePosixPath(name).stem if name and name != "[inline]" else ""
    own = [n for n in (stem, draft.node, draft.path.stem, draft.name) if n]
    known = [n for peer in peers if peer.role == "server" for n in known_clients(peer)]
    there = [n for n in own if n in known]
    guessed = [stem] if stem and stem.lower() not in _GENERIC else []
    return list(dict.fromkeys([*there, *(known if len(known) == 1 else []), *guessed, draft.node]))


def usages_of(draft: Draft, peers: Sequence[Draft]) -> Usages:
    """Return the usages that the other ends ask for, or those of the process's role."""
    asked: set[str] = set()
    extended: list[str] = []
    bits = 0
    for peer in peers:
        for directive in peer.configuration.all("remote-cert-tls", "ns-cert-type"):
            asked.update({"server": {"server"}, "client": {"client"}}.get(directive.argument(0) or "", set()))
        for directive in peer.configuration.all("remote-cert-eku"):
            word = directive.argument(0) or ""
            oid = _EXTENDED.get(word, word)
            if oid in (_SERVER, _CLIENT):
                asked.add("server" if oid == _SERVER else "client")
            elif _OID.fullmatch(oid):
                extended.append(oid)
        for directive in peer.configuration.all("remote-cert-ku"):
            bits |= _bits(directive.arguments)
    if not asked and draft.role != "peer":
        asked = {draft.role}
    usage: Literal["server", "client", "both"] = "both"
    if asked == {"server"}:
        usage = "server"
    elif asked == {"client"}:
        usage = "client"
    return Usages(usage, tuple(dict.fromkeys(extended)), bits)


def _bits(words: Iterable[str]) -> int:
    """Return the bits of the first usage that `remote-cert-ku` allows; OpenVPN wants one of them."""
    for word in words:
        try:
            return int(word, 16) & 0xFF
        except ValueError:
            continue
    return 0


def _parse(text: str) -> Subject:
    """Return the subject in `C=DE, O=Example, CN=name`, as OpenVPN prints and compares it; empty if it is none."""
    found = []
    for part in re.split(r",\s*(?=[A-Za-z]+=)", text):
        kind, equals, value = part.partition("=")
        oid = _ATTRIBUTES.get(kind.strip())
        if not equals or oid is None or not value or (kind == "C" and len(value) != 2):
            return ()
        found.append((oid, value))
    return tuple(found)


def _short(name: str) -> str:
    return name[:_MAX_CN]
