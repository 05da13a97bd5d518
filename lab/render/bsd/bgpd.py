"""OpenBGPD's configuration (bgpd.conf(5)).

Since OpenBSD 6.4 nothing is accepted or announced without a filter (RFC 8212); the address of the other family for the
next hop is the one of the session's interface.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from lab.core.prefixes import FAMILIES
from lab.routing import Peer, RouterPlan

BGPD_CONF: Final = PurePosixPath("/etc/bgpd.conf")
_WORDS = {"ipv4": "IPv4", "ipv6": "IPv6"}


def bgpd_conf(plan: RouterPlan) -> str:
    """Return the configuration of a router's BGP."""
    return "\n".join([*_lines(plan), ""])


def _lines(plan: RouterPlan) -> Iterator[str]:
    yield f"# {plan.node}: OpenBGPD; bgpd refuses the file unless it is root's with mode 0600."
    yield f"AS {plan.asn}"
    yield f"router-id {plan.router_id}"
    yield f"holdtime {plan.timers.hold}"
    yield from (f"network {prefix}" for prefix in plan.networks)
    for peer in plan.peers:
        if peer.address is not None:
            yield from _neighbor(peer)
    yield "# A route through a tunnel that covers the address of its other end would route the tunnel into itself."
    for family in FAMILIES:
        yield from (f"deny quick from any prefix {prefix}" for prefix in plan.covering(family))
    if plan.accept is None:
        yield "allow from any"
    for entry in plan.accept or ():
        shortest, longest = entry.lengths
        exact = shortest == longest == entry.prefix.prefixlen
        yield f"allow from any prefix {entry.prefix}{'' if exact else f' prefixlen {shortest} - {longest}'}"
    yield "allow to any"


def _neighbor(peer: Peer) -> Iterator[str]:
    yield f"neighbor {peer.address} {{"
    yield f"\tremote-as {peer.asn}"
    yield f'\tdescr "{peer.node}"'
    yield from (f"\tannounce {word} {'unicast' if f in peer.families else 'none'}" for f, word in _WORDS.items())
    if peer.password is not None:
        yield f'\ttcp md5sig password "{peer.password}"'
    yield "}"
