"""Causes at the receiver of a packet that arrived: a closed port, answers switched off, or the way back."""

from lab.why.cause import Cause
from lab.why.kernel import setting
from lab.why.lost.place import Place
from lab.why.probe import Protocol

_IGNORE = {"ipv4": "ipv4/icmp_echo_ignore_all", "ipv6": "ipv6/icmp/echo_ignore_all"}


def ignores_echo(place: Place) -> Cause | None:
    """Return the cause that the receiver's kernel answers no echo requests."""
    name = _IGNORE[place.family]
    if setting(place.namespace, name) != "1":
        return None
    shown = f"net.{name.replace('/', '.')}"
    what = f"answers no echo request: {shown} is 1"
    return place.cause("echo-ignored", what, f"set {shown} to 0 on {place.node}", place.sees("sysctl", f"{shown} = 1"))


def closed_port(place: Place, protocol: Protocol, port: int, seen: str) -> Cause:
    """Return the cause that no program listens; `seen` is the receiver's refusal."""
    kind = protocol.upper()
    what = f"refuses it: no program listens on {kind} port {port} of {place.destination}"
    mend = f"start the program that serves {kind} port {port} on {place.node}, or let it listen on {place.destination}"
    return place.cause("port-closed", what, mend, place.sees("capture", seen))
