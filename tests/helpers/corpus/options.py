"""The options of a configuration that matter for the rules of `lab advise`, and their choice by a seed."""

from collections.abc import Mapping
from random import Random

Options = Mapping[str, str]
"""A value for each option."""

VALUES: Mapping[str, Mapping[str, int]] = {
    "mode": {"server": 14, "p2p-tls": 4, "static-key": 1, "no-pull": 1},
    "server-version": {"2.5": 1, "2.6.3": 2, "2.6": 4, "2.7": 4},
    "client-version": {"same": 6, "2.6": 1, "2.7": 1, "2.5": 1},
    "disable-dco": {"yes": 3, "no": 2},
    "proto": {"udp": 4, "tcp": 1},
    "family": {"both": 6, "ipv4": 3, "ipv6": 1},
    # `mode server` and its inner table
    "topology": {"subnet": 6, "p2p": 2, "net30": 1, "none": 2},
    "iroute": {"all": 5, "fixed": 4, "first": 2, "ipv4": 2, "ipv6": 1, "wide": 1, "none": 5},
    "from": {"file": 6, "default": 1, "script": 2},
    "client-to-client": {"no": 4, "yes": 1},
    "route": {"none": 4, "first": 2, "both": 1, "ipv6": 1},
    "push-route": {"no": 1, "yes": 3},
    "push-iroute": {"no": 8, "yes": 1},
    "limit": {"none": 5, "one": 1, "ten": 1, "duplicate-cn": 1, "name": 1},
    "quota": {"none": 6, "ten": 1, "thousand": 1},
    "stale-routes": {"no": 12, "yes": 1},
    "second": {"no": 3, "yes": 1},
    # routing daemons
    "server-daemon": {"frr": 8, "bird": 3, "none": 3},
    "client-daemon": {"frr": 8, "bird": 3, "none": 2},
    "protocol": {"bgp": 9, "ospf": 3, "rip": 2, "static": 1},
    "neighbour": {"named": 5, "dynamic": 2, "interface": 1},
    "ospf-on": {"interface": 2, "network": 1, "wide": 1},
    "server-policy": {"open": 5, "route-map": 2, "prefix-list": 2, "strict": 1, "ibgp": 1},
    "client-policy": {"open": 5, "route-map": 2, "prefix-list": 2, "strict": 1},
    "server-timers": {"short": 9, "middle": 4, "long": 1, "default": 1},
    "client-timers": {"same": 6, "middle": 1, "long": 1},
    # restarts and timers
    "keepalive": {"1 4": 6, "2 8": 3, "5 15": 1, "10 60": 1, "none": 2, "ping": 1, "zero": 1, "ping-exit": 1},
    "client-keepalive": {"none": 5, "1 5": 1, "3 30": 1},
    "persist-tun": {"both": 4, "none": 2, "server": 1, "client": 1, "pushed": 1},
    "exit-notify": {"none": 3, "server": 1, "client": 1, "both": 2},
    # sizes
    "server-tun-mtu": {"none": 8, "1400": 1, "1700": 1},
    "client-tun-mtu": {"none": 8, "1400": 1, "1700": 1},
    "mssfix": {"none": 5, "0": 1, "1300": 1, "1400 mtu": 1, "1450": 1},
    "fragment": {"none": 9, "both": 1, "server": 1},
    "path": {"whole": 3, "narrow": 1},
}
"""The options, with the values of each and how often each is chosen."""
_OLD = ("2.5", "2.6.3")
_OVER_UDP = ("fragment", "exit-notify")
"""Options that OpenVPN refuses over TCP."""
_OF_SERVERS = (
    "topology", "iroute", "from", "client-to-client", "route", "push-route", "push-iroute", "limit", "quota",
    "stale-routes", "second",
)  # fmt: skip
"""Options that only a process in `mode server` has."""


def draw(seed: int, number: int) -> Options:
    """Return the options of one configuration: the same ones for the same seed and number."""
    chance = Random(f"{seed} {number}")
    found = {name: chance.choices(list(values), list(values.values()))[0] for name, values in VALUES.items()}
    return {name: found[name] for name in VALUES if name not in unused(found)}


def unused(of: Options) -> frozenset[str]:
    """Return the options that mean nothing beside the others, or which OpenVPN or a daemon refuses beside them."""
    found: set[str] = set()
    if of["mode"] in ("p2p-tls", "static-key"):
        found |= {*_OF_SERVERS, "client-keepalive"}
    if of["mode"] == "no-pull":
        found |= {"topology", "from", "second", "client-keepalive"}
    if of["proto"] == "tcp":
        found |= {*_OVER_UDP}
    if of["family"] != "both" and of["iroute"] == "ipv6":
        found |= {"iroute"}
    # Clients that share their options have no addresses of their own, which a neighbour could be named by.
    if of["from"] != "file" or of["topology"] in ("net30", "none"):
        found |= {"second"}
    if of["family"] == "ipv6":
        found |= {"topology", "second", "route", "quota"}
    if "none" in (of["server-daemon"], of["client-daemon"]) and of["protocol"] != "static":
        found |= {"neighbour"}
    return frozenset(found)
