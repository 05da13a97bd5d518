"""The RouterOS commands that the lab renders: their properties and valid values.

From MikroTik's manual (https://manual.mikrotik.com/docs/cli-reference/: interface/ovpn-client, interface/ovpn-server,
ip/address, ip/route, ppp, routing/bgp) and the routers' own completions (https://tikoci.github.io/restraml/), version
7.20 and later for BGP.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

Form = Callable[[str], bool]


@dataclass(frozen=True)
class Spec:
    """One command."""

    properties: Mapping[str, Form | None]
    """The check of each property's value; None accepts any value."""
    mandatory: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    """The properties that take several values, separated by commas."""


def _one_of(*words: str) -> Form:
    return lambda value: value in words


def _matches(pattern: str) -> Form:
    return lambda value: re.fullmatch(pattern, value) is not None


def _reads(read: Callable[[str], object]) -> Form:
    def form(value: str) -> bool:
        try:
            read(value)
        except ValueError:
            return False
        return True

    return form


_NUMBER = _matches(r"\d+")
_YES = _one_of("yes", "no")
_TIME = _matches(r"(\d+[wdhms])+")
_HOST = _matches(r"[A-Za-z0-9.:@-]+")
_ADDRESS, _INTERFACE, _NETWORK = _reads(ip_address), _reads(ip_interface), _reads(ip_network)
_DIGEST = _one_of("md5", "null", "sha1", "sha256", "sha384", "sha512")
_CIPHER = _one_of(
    *("aes128", "aes192", "aes256"),  # up to 7.6
    *("aes128-cbc", "aes128-gcm", "aes192-cbc", "aes192-gcm", "aes256-cbc", "aes256-gcm", "blowfish128", "null"),
)

_TUNNEL: Mapping[str, Form | None] = {
    "auth": _DIGEST,
    "certificate": None,
    "cipher": _CIPHER,
    "comment": None,
    "disabled": _YES,
    "mac-address": _matches(r"([0-9A-F]{2}:){5}[0-9A-F]{2}"),
    "max-mtu": _NUMBER,
    "mode": _one_of("ip", "ethernet"),
    "name": None,
    "port": _NUMBER,
    "protocol": _one_of("tcp", "udp"),
    "tls-version": _one_of("any", "only-1.2"),
}
_ROUTE: Mapping[str, Form | None] = {"distance": _NUMBER, "dst-address": _NETWORK, "gateway": None}
SPECS: Mapping[tuple[str, str], Spec] = {
    ("/certificate", "import"): Spec(
        {"file-name": None, "name": None, "passphrase": None, "trusted": _YES}, frozenset({"file-name"})
    ),
    ("/interface ovpn-client", "add"): Spec(
        {
            **_TUNNEL,
            "add-default-route": _YES,
            "connect-to": _HOST,
            "disconnect-notify": _YES,
            "password": None,
            "profile": None,
            "route-nopull": _YES,
            "use-peer-dns": _one_of("no", "yes", "exclusively"),
            "user": None,
            "verify-server-certificate": _YES,
        },
        frozenset({"connect-to", "user"}),
    ),
    ("/interface ovpn-server server", "add"): Spec(
        {
            **_TUNNEL,
            "default-profile": None,
            "enable-tun-ipv6": _YES,
            "ipv6-prefix-len": _NUMBER,
            "keepalive-timeout": _matches(r"\d+|disabled"),
            "netmask": _NUMBER,
            "push-routes": None,
            "require-client-certificate": _YES,
            "reneg-sec": _NUMBER,
            "tun-server-ipv6": _ADDRESS,
            "user-auth-method": _one_of("pap", "mschap2"),
            "vrf": None,
        },
        frozenset({"name"}),
        frozenset({"auth", "cipher"}),
    ),
    ("/interface ovpn-server", "add"): Spec({"name": None, "user": None, "disabled": _YES}, frozenset({"user"})),
    ("/ppp profile", "add"): Spec(
        {"name": None, "local-address": _ADDRESS, "remote-address": _ADDRESS}, frozenset({"name"})
    ),
    ("/ppp secret", "add"): Spec(
        {
            "name": None,
            "password": None,
            "profile": None,
            "service": _one_of("any", "async", "l2tp", "ovpn", "pppoe", "pptp", "sstp"),
            "local-address": _ADDRESS,
            "remote-address": _ADDRESS,
        },
        frozenset({"name"}),
    ),
    ("/ip address", "add"): Spec({"address": _INTERFACE, "interface": None}, frozenset({"address", "interface"})),
    ("/ip route", "add"): Spec(_ROUTE, frozenset({"gateway"})),
    ("/ipv6 route", "add"): Spec(_ROUTE, frozenset({"gateway"})),
    ("/ipv6 address", "add"): Spec(
        {"address": _INTERFACE, "interface": None, "advertise": _YES}, frozenset({"address", "interface"})
    ),
    ("/ip firewall address-list", "add"): Spec({"list": None, "address": _NETWORK}, frozenset({"list", "address"})),
    ("/ipv6 firewall address-list", "add"): Spec({"list": None, "address": _NETWORK}, frozenset({"list", "address"})),
    ("/routing bgp instance", "add"): Spec(
        {"name": None, "as": _NUMBER, "router-id": _ADDRESS}, frozenset({"name", "as"})
    ),
    ("/routing bgp connection", "add"): Spec(
        {
            "name": None,
            "instance": None,
            "afi": _one_of("ip", "ipv6"),
            "remote.address": _INTERFACE,
            "remote.as": _NUMBER,
            "local.role": _one_of("ebgp", "ibgp"),
            "local.address": _ADDRESS,
            "hold-time": _TIME,
            "keepalive-time": _TIME,
            "output.network": None,
            "output.network-blackhole": _YES,
            "use-bfd": _YES,
        },
        frozenset({"name", "instance", "remote.address", "local.role"}),
        frozenset({"afi"}),
    ),
}
