"""The files of a configuration: those of OpenVPN at both ends, and of the routing daemons, after chosen options."""

from dataclasses import dataclass

from lab.core.prefixes import Prefix
from lab.image import NODE_IMAGE
from tests.helpers.advised import BEHIND, BEHIND_SERVER, Pair
from tests.helpers.corpus.options import Options, draw
from tests.helpers.corpus.routers import router

_FIRST = "10.2.0.0 255.255.255.0"
_SECOND = "10.3.0.0 255.255.255.0"
_IPV6 = "fd00:2::/64"
_INNER = {
    "all": ("iroute 0.0.0.0 0.0.0.0", "iroute-ipv6 ::/0"),
    "fixed": (f"iroute {_FIRST}", f"iroute {_SECOND}", f"iroute-ipv6 {_IPV6}"),
    "first": (f"iroute {_FIRST}",),
    "ipv4": ("iroute 0.0.0.0 0.0.0.0",),
    "ipv6": ("iroute-ipv6 ::/0",),
    "wide": ("iroute 10.0.0.0 255.0.0.0", "iroute-ipv6 fd00::/16"),
}
_ROUTES = {
    "first": (f"route {_FIRST}",),
    "both": (f"route {_FIRST}", f"route {_SECOND}"),
    "ipv6": (f"route {_FIRST}", f"route-ipv6 {_IPV6}"),
}
_KEEPALIVE = {
    "none": "",
    "ping": "ping 1\nping-restart 6",
    "zero": "ping 2\nping-restart 0",
    "ping-exit": "ping 1\nping-exit 8",
}
_LIMITS = {
    "one": "max-clients 1",
    "ten": "max-clients 10",
    "duplicate-cn": "duplicate-cn",
    "name": "verify-x509-name {first} name",
}
_QUOTAS = {"ten": "max-routes-per-client 10", "thousand": "max-routes-per-client 1000"}
NARROW = 1400
"""The path MTU of a configuration whose path is narrow: larger packets are dropped without a message."""


@dataclass(frozen=True)
class Configuration:
    """Two ends with their files, and what of them comes up."""

    number: int
    options: Options
    pair: Pair

    @property
    def passes(self) -> bool:
        """True if packets between the ends' own addresses should pass."""
        of = self.options
        # Point to point, 2.5 and a later version agree on no cipher without `data-ciphers-fallback`.
        agree = of["mode"] != "p2p-tls" or len({_version(end, of) == "2.5" for end in ("server", "client")}) == 1
        return agree and of["mode"] != "no-pull" and of.get("fragment") != "server"

    @property
    def peers(self) -> bool:
        """True if the daemons should have a session, or exchange routes."""
        of = self.options
        both = "none" not in (of["server-daemon"], of["client-daemon"]) and of["protocol"] != "static"
        return self.passes and both and _form(of) != "net30" and of.get("neighbour") != "interface"

    def learns(self, end: str) -> list[Prefix]:
        """Return the prefixes that the daemon of an end, `s` or `c`, should learn."""
        of = self.options
        strict = "strict" in (of["server-policy"], of["client-policy"]) and of["server-policy"] != "ibgp"
        if not self.peers or (of["protocol"] == "bgp" and strict):
            return []
        versions = {4} if of["protocol"] in ("ospf", "rip") else {4: {4, 6}, 6: {6}}[4 if of["family"] != "ipv6" else 6]
        if of["family"] == "ipv4":
            versions = {4}
        if of["protocol"] != "bgp" and of["family"] == "ipv6":
            return []
        return [prefix for prefix in (BEHIND if end == "s" else BEHIND_SERVER) if prefix.version in versions]


def configuration(seed: int, number: int) -> Configuration:
    """Return one configuration of the corpus: the same one for the same seed and number."""
    return Configuration(number, of := draw(seed, number), pair_of(f"n{number}", of))


def pair_of(name: str, of: Options) -> Pair:
    """Return the files of chosen options."""
    peers = of["mode"] in ("p2p-tls", "static-key")
    script = of.get("from") == "script"
    lines = _client_options(of)
    routers = {"s": router("server", of, far_address(of)), "c": router("client", of, _near_address(of))}
    return Pair(
        name,
        _text(_peer("server", of) if peers else _server(of)),
        _text(_peer("client", of) if peers else _client(of)),
        options="" if script or peers else _text(lines),
        routers={end: text for end, text in routers.items() if text},
        script="#!/bin/sh\n" + "".join(f'echo "{line}" >> "$1"\n' for line in lines) if script else "",
        second=of.get("second") == "yes",
        all_clients=of.get("from") == "default",
        image=_image(of["server-version"]),
        client_image=_image(of["server-version" if of["client-version"] == "same" else "client-version"]),
    )


def far_address(of: Options) -> str:
    """Return the client's inner address."""
    if of["family"] == "ipv6":
        return "fd00:8::2" if of["mode"] in ("p2p-tls", "static-key") or of.get("from") == "file" else "fd00:8::1000"
    return "10.8.0.6" if _form(of) == "net30" else "10.8.0.2"


def _near_address(of: Options) -> str:
    return "fd00:8::1" if of["family"] == "ipv6" else "10.8.0.1"


def _form(of: Options) -> str:
    """Return the topology in effect: without the option it is net30 before 2.7."""
    if of["mode"] in ("p2p-tls", "static-key") or of["family"] == "ipv6":
        return "subnet"
    given = of.get("topology", "subnet")
    return {"none": "subnet" if of["server-version"] == "2.7" else "net30"}.get(given, given)


def _server(of: Options) -> list[str]:
    """Return the lines of a process in `mode server`."""
    topology = of.get("topology", "subnet")
    script = of.get("from") == "script"
    return [
        *_common("server", of),
        "port 1194",
        f"topology {topology}" if topology != "none" else "",
        "server 10.8.0.0 255.255.255.0" if of["family"] != "ipv6" else "",
        "server-ipv6 fd00:8::/64" if of["family"] != "ipv4" else "",
        "ca ca.crt\ncert {server}.crt\nkey {server}.key\ndh none",
        "script-security 2\nclient-connect connect.sh" if script else "client-config-dir ccd",
        *_ROUTES.get(of.get("route", "none"), ())[: 1 if of["family"] == "ipv4" else None],
        'push "route 10.1.0.0 255.255.255.0"' if of.get("push-route") == "yes" and of["family"] != "ipv6" else "",
        'push "iroute 10.2.0.0 255.255.255.0"' if of.get("push-iroute") == "yes" else "",
        'push "persist-tun"' if of["persist-tun"] == "pushed" else "",
        "client-to-client" if of.get("client-to-client") == "yes" else "",
        _LIMITS.get(of.get("limit", ""), ""),
        _QUOTAS.get(of.get("quota", ""), ""),
        "stale-routes-check 2 2" if of.get("stale-routes") == "yes" else "",
        f"verb {7 if of.get('stale-routes') == 'yes' else 4}",
    ]


def _client(of: Options) -> list[str]:
    pulls = of["mode"] != "no-pull"
    address = [] if of["family"] == "ipv6" else ["ifconfig 10.8.0.2 255.255.255.0"]
    address += [] if of["family"] == "ipv4" else ["ifconfig-ipv6 fd00:8::2/64 fd00:8::1"]
    return [
        *(["client"] if pulls else ["tls-client", "topology subnet", *address]),
        *_common("client", of),
        "remote {outer} 1194\nnobind",
        "ca ca.crt\ncert {client}.crt\nkey {client}.key",
        "verb 4",
    ]


def _peer(end: str, of: Options) -> list[str]:
    """Return the lines of an end point to point."""
    mine, theirs = ("1", "2") if end == "server" else ("2", "1")
    tls = of["mode"] == "p2p-tls"
    dh = "\ndh none" if end == "server" else ""
    keys = f"tls-{end}\nca ca.crt\ncert {{{end}}}.crt\nkey {{{end}}}.key{dh}" if tls else "secret shared.key"
    new = _version(end, of) == "2.7"
    return [
        *_common(end, of),
        "port 1194" if end == "server" else "remote {outer} 1194",
        keys,
        "cipher AES-256-CBC" if not tls else "",
        "allow-deprecated-insecure-static-crypto" if not tls and new else "",
        f"ifconfig 10.8.0.{mine} 10.8.0.{theirs}" if of["family"] != "ipv6" else "",
        f"ifconfig-ipv6 fd00:8::{mine}/64 fd00:8::{theirs}" if of["family"] != "ipv4" else "",
        "verb 4",
    ]


def _common(end: str, of: Options) -> list[str]:
    """Return the lines that an end of any kind can have."""
    suffix = {"udp": "", "tcp": "-server" if end == "server" else "-client"}[of["proto"]]
    notify = of.get("exit-notify", "none") in (end, "both")
    # Both ends of a static key restart by themselves, so each has timers of its own.
    alone = of["mode"] in ("p2p-tls", "static-key")
    keepalive = of["keepalive"] if end == "server" or alone else of.get("client-keepalive", "none")
    keeps = of["persist-tun"] in (end, "both") or (of["persist-tun"] == "pushed" and alone)
    fragment = of.get("fragment", "none")
    size = of[f"{end}-tun-mtu"]
    mssfix = of["mssfix"].removesuffix(" mtu") if _version(end, of) == "2.5" else of["mssfix"]
    return [
        "dev tun0",
        f"proto {of['proto']}4{suffix}",
        "disable-dco" if of["disable-dco"] == "yes" and _version(end, of) not in ("2.5",) else "",
        _KEEPALIVE.get(keepalive, f"keepalive {keepalive}"),
        "persist-tun" if keeps else "",
        "explicit-exit-notify 1" if notify and of["mode"] != "static-key" else "",
        f"tun-mtu {size}" if size != "none" else "",
        f"mssfix {mssfix}" if mssfix != "none" and end == "client" else "",
        "fragment 1300" if fragment == "both" or (fragment == "server" and end == "server") else "",
    ]


def _client_options(of: Options) -> list[str]:
    """Return the options that the server gives to its client."""
    lines: list[str] = []
    if of.get("from") == "file":  # the others have the server's pool
        other = {"net30": "10.8.0.5", "p2p": "10.8.0.1"}.get(_form(of), "255.255.255.0")
        lines += [f"ifconfig-push {far_address(of)} {other}"] if of["family"] != "ipv6" else []
        lines += ["ifconfig-ipv6-push fd00:8::2/64 fd00:8::1"] if of["family"] != "ipv4" else []
    inner = _INNER.get(of.get("iroute", "none"), ())
    left_out = {"ipv4": "iroute-ipv6", "ipv6": "iroute "}.get(of["family"], "-")
    return lines + [line for line in inner if not line.startswith(left_out)]


def _version(end: str, of: Options) -> str:
    return of["server-version"] if end == "server" or of["client-version"] == "same" else of["client-version"]


def _image(version: str) -> str:
    return f"{NODE_IMAGE}:{version}"


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines if line)
