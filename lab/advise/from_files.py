"""The ends of tunnels in the user's files."""

import re
from collections.abc import Sequence
from pathlib import Path

from lab.advise.across import across
from lab.advise.given import read_given
from lab.advise.owners import owners
from lab.advise.subject import Subject
from lab.configs.openvpn.client_options import AllClientOptions, read_client_options
from lab.configs.openvpn.configuration import Configuration
from lab.core.errors import InputError

_NOT_KNOWN = (
    "neither the neighbours' addresses nor the directories of the files show which end the configuration of a routing "
    "daemon belongs to"
)
_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,3})?")


def subjects_of_files(files: Sequence[Path], version: str | None = None) -> list[Subject]:
    """Read files of OpenVPN and of routing daemons; raises `InputError` if one cannot be read or is of no use.

    `version` is OpenVPN's, as `2.6` or `2.7.8`. Two files are the ends of one tunnel if one is a server and the other a
    client, or if both are peers. The configuration of a daemon belongs to the only end, or see `lab.advise.owners`.
    """
    if version is not None and not _VERSION.fullmatch(version):
        raise InputError(f"--openvpn {version}: not a version of OpenVPN; write it as 2.6 or 2.7.8")
    given = read_given(files, version)
    ends, routers = given.ends, given.routers
    pair = _is_pair(ends)
    at = owners(ends, routers, pair=pair)
    why = "no frr.conf or bird.conf was given"
    if routers:
        why = _NOT_KNOWN if len(at) < len(routers) else f"{why} for this end"
    subjects = []
    for number, end in enumerate(ends):
        peer = ends[1 - number] if pair else None
        router, peer_router = at.get(number), at.get(1 - number) if pair else None
        options = read_client_options(end)
        peer_options = read_client_options(peer) if peer else AllClientOptions()
        subjects.append(
            Subject(
                name=end.name,
                end=end,
                client_options=options,
                peer=peer,
                peer_client_options=peer_options,
                openvpn=version,
                peer_openvpn=version,
                routes=True if router and across(router, end, peer, options).spots else None,
                router=router,
                no_router="" if router else why,
                peer_router=peer_router,
                peer_hold=across(peer_router, peer, end, peer_options).hold if peer_router and peer else None,
            )
        )
    return subjects


def _is_pair(ends: Sequence[Configuration]) -> bool:
    roles = sorted(end.role for end in ends)
    if roles == ["peer", "peer"]:
        return ends[0].has("secret") == ends[1].has("secret")
    if roles == ["peer", "server"]:  # without `pull`: see no-pull
        return all(end.has("tls-client") for end in ends if end.role == "peer")
    return roles == ["client", "server"]
