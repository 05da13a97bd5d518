"""The management interface of a process of the user's: its own if it listens, else a Unix socket of the lab's."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.configs.disk import Spot
from lab.own.draft import Draft
from lab.topology.own import Remark
from lab.tunnel.mode import SOCKETS


@dataclass(frozen=True)
class ManagementPlan:
    """How the lab reaches the management interface of a process."""

    socket: PurePosixPath | None
    tcp: tuple[str, int] | None = None
    password: PurePosixPath | None = None
    arguments: tuple[str, ...] = ()
    commented: frozenset[Spot] = frozenset()
    remarks: tuple[Remark, ...] = ()


def plan_management(draft: Draft) -> ManagementPlan:
    """Return the file's own interface if it is one that listens, else a Unix socket by an argument."""
    own = draft.configuration.last("management")
    socket = SOCKETS / f"{draft.name}.sock"
    added = ("--management", str(socket), "unix")
    if own is None:
        return ManagementPlan(socket, None, None, added)
    host, port, password = (own.argument(number) for number in range(3))
    secret = draft.resolve(password) if password and password != "stdin" else None  # noqa: S105 - OpenVPN's word
    connects = draft.configuration.has("management-client")
    if password == "stdin" or host == "tunnel" or connects or not port:  # noqa: S105
        what = f"'{own}': the lab needs a management interface that listens, and gives it a Unix socket"
        remark = Remark(kind="override", node=draft.node, place=str(own.spot), what=what)
        return ManagementPlan(socket, None, None, added, frozenset({own.spot}), (remark,))
    if port == "unix":
        return ManagementPlan(_without_var(draft.resolve(host or "")), None, secret)
    if not port.isdigit() or not 0 < int(port) < 65536:  # OpenVPN refuses it
        return ManagementPlan(socket, None, None)
    return ManagementPlan(None, (host or "127.0.0.1", int(port)), secret)


def _without_var(path: PurePosixPath) -> PurePosixPath:
    """Return a path without Debian's link from /var/run to /run, which from outside leads to this machine's."""
    run = PurePosixPath("/var/run")
    return PurePosixPath("/run") / path.relative_to(run) if path.is_relative_to(run) else path
