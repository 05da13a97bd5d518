"""The ends of tunnels in the user's files."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lab.advise import frr, openvpn
from lab.advise.across import neighbors_across
from lab.advise.client_options import AllClientOptions, read_client_options
from lab.advise.disk import Disk
from lab.advise.openvpn import Configuration
from lab.advise.subject import Subject
from lab.core.errors import InputError


def subjects_of_files(files: Sequence[Path], version: str | None = None) -> list[Subject]:
    """Read OpenVPN's files and, if there are any, FRR's; raises `InputError` if one cannot be read.

    Two files are the ends of one tunnel if one is a server and the other a client, or if both are peers. A frr.conf
    belongs to the only end, or to the end with whose other end it has a BGP session.
    """
    disk = Disk()
    ends: list[Configuration] = []
    routers: list[frr.FrrConfiguration] = []
    for file in files:
        path = PurePosixPath(file)
        text = disk.text(path)
        if frr.looks_like_frr(text):
            routers.append(frr.parse(text, disk.name(path)))
        else:
            ends.append(_end(openvpn.parse(text, path, disk)))
    if not ends:
        raise InputError("no OpenVPN configuration among the files: add one with --config")
    pair = _is_pair(ends)
    subjects = []
    for number, end in enumerate(ends):
        peer = ends[1 - number] if pair else None
        router, why = _router_of(end, ends, routers)
        peer_router = _router_of(peer, ends, routers)[0] if peer else None
        holds = [n.hold for n in neighbors_across(peer_router, peer, end)] if peer_router and peer else []
        subjects.append(
            Subject(
                name=end.name,
                end=end,
                client_options=read_client_options(end),
                peer=peer,
                peer_client_options=read_client_options(peer) if peer else AllClientOptions(),
                openvpn=version,
                routes=True if router and neighbors_across(router, end, peer) else None,
                frr=router,
                no_frr=why,
                peer_hold=min(holds, default=None),
            )
        )
    return subjects


def _end(end: Configuration) -> Configuration:
    """Refuse a configuration without `dev`, as OpenVPN does: it is most likely another kind of file."""
    if not end.has("dev"):
        raise InputError(f"{end.name}:1: no `dev`: neither an OpenVPN configuration nor a frr.conf")
    return end


def _is_pair(ends: Sequence[Configuration]) -> bool:
    roles = sorted(end.role for end in ends)
    if roles == ["peer", "peer"]:
        return ends[0].has("secret") == ends[1].has("secret")
    return roles == ["client", "server"]


def _router_of(
    end: Configuration, ends: Sequence[Configuration], routers: Sequence[frr.FrrConfiguration]
) -> tuple[frr.FrrConfiguration | None, str]:
    if not routers:
        return None, "no frr.conf was given"
    if len(ends) == len(routers) == 1:
        return routers[0], ""
    mine = [r for r in routers if _belongs(r, end, ends)]
    if len(mine) == 1:
        return mine[0], ""
    return None, "the neighbours' addresses do not show which end a frr.conf belongs to"


def _belongs(router: frr.FrrConfiguration, end: Configuration, ends: Sequence[Configuration]) -> bool:
    """Return True if the router has a neighbour with the address of another end, or of this end's peer."""
    named = {n.name for n in router.neighbors}
    if named & _own(end):
        return False
    others = {address for other in ends if other is not end for address in _own(other)}
    peers = {d.argument(1) for d in end.all("ifconfig")}
    return bool(named & (others | peers))


def _own(end: Configuration) -> set[str]:
    found = {(d.argument(0) or "").partition("/")[0] for d in end.all("ifconfig", "ifconfig-ipv6")}
    for d in end.all("server"):
        # `server NETWORK MASK` uses the network's first address.
        head, _, last = (d.argument(0) or "").rpartition(".")
        found.add(f"{head}.{int(last) + 1}" if last.isascii() and last.isdecimal() and len(last) < 4 else "")
    return found - {""}
