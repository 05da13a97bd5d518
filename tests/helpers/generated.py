"""Generated pairs for `lab advise`: options that matter for the inner table, combined by a seeded choice."""

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.helpers.advised import ADDRESS_6, CLIENT, FIRST, KEEPS, LED, OPEN, PUSH, SERVER, V6, Pair, frr

OPTIONS: dict[str, Sequence[str]] = {
    "iroute": ("all", "fixed", "ipv4", "ipv6", "none"),
    "client-to-client": ("no", "yes"),
    "topology": ("subnet", "p2p"),
    "from": ("file", "script"),
    "route": ("none", "10.2.0.0"),
    "push-iroute": ("no", "yes"),
    "far": ("frr", "ospf", "bird", "strict", "route-map"),
    "near": ("open", "open", "route-map", "strict"),
}
"""The options, with the values of each."""
_IROUTES = {
    "all": "iroute 0.0.0.0 0.0.0.0\niroute-ipv6 ::/0\n",
    "fixed": FIRST + "iroute-ipv6 fd00:2::/64\n",
    "ipv4": "iroute 0.0.0.0 0.0.0.0\n",
    "ipv6": "iroute-ipv6 ::/0\n",
    "none": "",
}
_HERE = ("10.1.0.0/24", "fd00:1::/64")
_THERE = ("10.2.0.0/24", "10.3.0.0/24", "fd00:2::/64")
_OSPF = """frr defaults traditional
interface tun0
 ip ospf area 0
 ip ospf hello-interval 1
 ip ospf dead-interval 4
exit
router ospf
 ospf router-id {router_id}
 redistribute connected
exit
"""
_BIRD = """router id 10.2.0.1;
protocol device {{ }}
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol kernel {{ ipv6 {{ import none; export where source = RTS_BGP; }}; }}
protocol static {{ ipv4; route 10.2.0.0/24 unreachable; route 10.3.0.0/24 unreachable; }}
protocol static {{ ipv6; route fd00:2::/64 unreachable; }}
filter ours {{ if source = RTS_STATIC then accept; reject; }}
protocol bgp server {{
  local as 65002;
  neighbor 10.8.0.1 as 65001;
  hold time 9;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  ipv4 {{ import all; export filter ours; }};
  ipv6 {{ import all; export filter ours; }};
}}
"""


def choices(count: int, seed: int) -> list[dict[str, str]]:
    """Return combinations of values; each value of an option occurs, if there are as many combinations as values."""
    chance = Random(seed)
    columns: dict[str, list[str]] = {}
    for option, values in OPTIONS.items():
        columns[option] = [values[number % len(values)] for number in range(count)]
        chance.shuffle(columns[option])
    return [{option: column[number] for option, column in columns.items()} for number in range(count)]


def generated(count: int, seed: int) -> tuple[Pair, ...]:
    """Return a pair for each combination."""
    return tuple(_pair(f"g{number}", of) for number, of in enumerate(choices(count, seed)))


def _pair(name: str, of: dict[str, str]) -> Pair:
    server = SERVER.replace("topology subnet", f"topology {of['topology']}") + V6 + PUSH
    server += "client-to-client\n" if of["client-to-client"] == "yes" else ""
    server += LED if of["route"] != "none" else ""
    server += 'push "iroute 10.3.0.0 255.255.255.0"\n' if of["push-iroute"] == "yes" else ""
    options = ADDRESS_6.replace("255.255.255.0", "10.8.0.1") if of["topology"] == "p2p" else ADDRESS_6
    options += _IROUTES[of["iroute"]]
    given: dict[str, Any] = {"options": options}
    if of["from"] == "script":
        server = server.replace("client-config-dir ccd\n", "script-security 2\nclient-connect connect.sh\n")
        lines = "".join(f'echo "{line}" >> "$1"\n' for line in options.splitlines())
        given = {"options": "", "script": f"#!/bin/sh\n{lines}"}
    return Pair(name, server, CLIENT + KEEPS, routers=_routers(of), learns=_learns(of), **given)


def _routers(of: dict[str, str]) -> dict[str, str]:
    if of["far"] == "ospf":
        return {"s": _OSPF.format(router_id="10.1.0.1"), "c": _OSPF.format(router_id="10.2.0.1")}
    near = frr(65001, "10.8.0.2", 65002, _HERE, *_policy(of["near"], "10.8.0.2"))
    if of["far"] == "bird":
        return {"s": near, "c": _BIRD.format()}
    return {"s": near, "c": frr(65002, "10.8.0.1", 65001, _THERE, *_policy(of["far"], "10.8.0.1"))}


def _policy(kind: str, neighbor: str) -> tuple[str, str, str]:
    """Return the lines of a policy: those of the section, of each family, and after the section."""
    if kind != "route-map":
        return ("" if kind == "strict" else OPEN), "", ""
    both = "".join(f"  neighbor {neighbor} route-map ANY {way}\n" for way in ("in", "out"))
    return "", both, "route-map ANY permit 10\nexit\n"


def _learns(of: dict[str, str]) -> tuple[str, ...]:
    """Return what the server's daemon learns."""
    if of["far"] == "ospf":
        return _THERE[:2]
    return () if "strict" in (of["far"], of["near"]) else _THERE
