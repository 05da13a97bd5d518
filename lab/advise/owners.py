"""Find the end of a tunnel that the configuration of a routing daemon belongs to, among the user's files."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from lab.advise.across import across
from lab.configs.openvpn.client_options import read_client_options
from lab.configs.openvpn.configuration import Configuration
from lab.configs.routing.judged import RoutingConfiguration


def owners(
    ends: Sequence[Configuration], routers: Sequence[RoutingConfiguration], *, pair: bool
) -> Mapping[int, RoutingConfiguration]:
    """Return the configuration of the daemon at each end by the end's number, as far as the files show it.

    A neighbour's address shows it, then the directory in which the files are. The second one of two configurations
    belongs to the other end of a `pair`, if a session or a protocol of it runs across the tunnel.
    """
    if len(ends) == len(routers) == 1:
        return {0: routers[0]}
    found: dict[int, RoutingConfiguration] = {}
    for number, end in enumerate(ends):
        mine = [router for router in routers if _belongs(router, end, ends)]
        if len(mine) == 1:
            found[number] = mine[0]
    for number, router in _by_directory(ends, routers).items():
        if number not in found and not any(router is other for other in found.values()):
            found[number] = router
    left = [router for router in routers if not any(router is other for other in found.values())]
    if pair and len(found) == len(left) == len(ends) - 1 == 1:
        (number,) = {0, 1} - found.keys()
        end, peer = ends[number], ends[1 - number]
        runs = across(left[0], end, peer, read_client_options(end))
        if runs.neighbors or runs.interior or runs.possible:
            found[number] = left[0]
    return found


def _belongs(router: RoutingConfiguration, end: Configuration, ends: Sequence[Configuration]) -> bool:
    """Return True if the router has a neighbour with the address of another end, or of this end's peer."""
    named = {str(n.address) for n in router.neighbors if n.address is not None}
    if named & _own(end):
        return False
    others = {address for other in ends if other is not end for address in _own(other)}
    peers = {d.argument(1) for d in end.all("ifconfig", "ifconfig-ipv6")}
    return bool(named & (others | peers))


def _own(end: Configuration) -> set[str]:
    found = {(d.argument(0) or "").partition("/")[0] for d in end.all("ifconfig", "ifconfig-ipv6")}
    for d in end.all("server"):
        # `server NETWORK MASK` uses the network's first address.
        head, _, last = (d.argument(0) or "").rpartition(".")
        found.add(f"{head}.{int(last) + 1}" if last.isascii() and last.isdecimal() and len(last) < 4 else "")
    for d in end.all("server-ipv6"):
        network = (d.argument(0) or "").partition("/")[0]
        found.add(f"{network}1" if network.endswith("::") else "")
    return found - {""}


def _by_directory(
    ends: Sequence[Configuration], routers: Sequence[RoutingConfiguration]
) -> dict[int, RoutingConfiguration]:
    """Return the routers whose files share more leading directories with one end than with any other."""
    nearest: dict[int, list[RoutingConfiguration]] = {}
    for router in routers:
        shared = [_shared(router.name, end.name) for end in ends]
        if shared.count(most := max(shared, default=0)) == 1:
            nearest.setdefault(shared.index(most), []).append(router)
    return {number: mine[0] for number, mine in nearest.items() if len(mine) == 1}


def _shared(one: str, other: str) -> int:
    """Return the number of leading directories that two files share."""
    parts = [PurePosixPath(name).parent.parts for name in (one, other)]
    return next((n for n, (a, b) in enumerate(zip(*parts, strict=False)) if a != b), min(map(len, parts)))
