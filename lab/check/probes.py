"""Packets from a node to an address, and their answers: ICMP echo, TCP connections, UDP datagrams.

They are those of `lab why`. Of TCP and UDP the check itself listens at the target, in its network namespace, if nothing
else does there. No program is started in a node.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lab.check.problems import address_of as written_address
from lab.core.errors import InputError, LabError
from lab.core.prefixes import FAMILIES, Address, Family, family_of
from lab.engine.namespace import Namespace
from lab.runtime.lab import Lab
from lab.topology import Topology
from lab.topology.segments import endpoints_of
from lab.why.ask import ask
from lab.why.probe import Probe, Sent, send
from lab.why.targets import address_of, targets

_POLL = 0.2
"""Seconds after which a listening thread looks whether it is to end."""
_NAMES = {"icmp": "echo requests", "tcp": "TCP connections", "udp": "UDP datagrams"}


@dataclass(frozen=True)
class Answer:
    """The answers to one probe."""

    source: str
    receiver: str
    """The node that has the address; empty if no node of the lab has it."""
    probe: Probe
    sent: Sent

    @property
    def received(self) -> int:
        """The number of packets that were answered, or of connections that were made."""
        return len(self.sent.answered)

    @property
    def complete(self) -> bool:
        """True if each packet was answered."""
        return self.received == self.probe.count

    def __str__(self) -> str:
        reasons = dict.fromkeys(error.strerror or str(error) for error in self.sent.errors.values())
        why = f" ({', '.join(reasons)})" if reasons else ""
        to = f"{self.probe.destination}{f' port {self.probe.port}' if self.probe.port else ''}"
        done = "made" if self.probe.protocol == "tcp" else "answered"
        what = _NAMES[self.probe.protocol]
        return f"{self.received} of {self.probe.count} {what} to {to} {done}{why}"


def declared_families(topology: Topology, target: str) -> list[Family]:
    """Return the families of a target: of an address its own, of a node those on its links."""
    single = written_address(target)
    found = {family_of(address) for end in endpoints_of(topology, target) for address in end.addresses}
    return [each for each in FAMILIES if each in found or (single is not None and each == family_of(single))]


def destinations(lab: Lab, source: str, target: str, family: Family | None) -> list[tuple[str, Address]]:
    """Return the addresses of a target in the families of its source, each with the node that has it.

    Raises `InputError` if there is none.
    """
    found = [
        (node, address)
        for node, address in targets(lab, target, family)
        if _has_family(lab, source, family_of(address))
    ]
    if not found:
        which = family or "the same family"
        raise InputError(f"{source} and {target} do not both have an address of {which}: give an address")
    return found


def _has_family(lab: Lab, node: str, family: Family) -> bool:
    """Return whether a node has an address of a family on a link, or in a tunnel."""
    if address_of(lab, node, family) is not None:
        return True
    tunnels = (tunnel for tunnel in lab.tunnels.values() if node in (tunnel.tunnel.server, tunnel.tunnel.client))
    return any(family_of(inner) == family for tunnel in tunnels for inner in tunnel.addresses(node).inner)


def try_probe(lab: Lab, source: str, receiver: str, probe: Probe) -> Answer:
    """Send the packets of a probe and return their answers."""
    with _listening(lab, receiver, probe):
        return Answer(source, receiver, probe, send(lab.running(source).namespace, probe))


def cause_of(lab: Lab, answer: Answer) -> str:
    """Send the same packets again, and say why they are lost; empty if that is not found, or if they pass now."""
    try:
        with _listening(lab, answer.receiver, answer.probe):
            traced, explanation = ask(lab, answer.source, answer.receiver, answer.probe)
    except LabError as error:
        return f"cannot tell why: {error}"
    if not traced.lost:
        return f"cannot tell why: {answer.probe.destination} answers {answer.source} now"
    return str(explanation)


@contextmanager
def _listening(lab: Lab, receiver: str, probe: Probe) -> Iterator[None]:
    """Answer TCP or UDP at the receiver during the block.

    A TCP port at which another program listens is left to that; a UDP port has to be free, since nothing else is sure
    to answer. Raises `InputError` if it is not, or if no node of the lab has the address.
    """
    if probe.protocol == "icmp":
        yield
        return
    kind = socket.SOCK_STREAM if probe.protocol == "tcp" else socket.SOCK_DGRAM
    listener = _listen(lab.running(receiver).namespace, probe.destination, probe.port, kind) if receiver else None
    if listener is None and kind == socket.SOCK_DGRAM:
        where = f"of {receiver} is in use" if receiver else f"of {probe.destination} is at no node of the lab"
        raise InputError(f"UDP port {probe.port} {where}: the check has to listen there to answer")
    if listener is None:
        yield
        return
    thread = threading.Thread(target=_serve, args=(listener,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # ends the wait of the thread
        listener.close()
        thread.join()


def _listen(namespace: Namespace, address: Address, port: int, kind: socket.SocketKind) -> socket.socket | None:
    def opened() -> socket.socket | None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        listener = socket.socket(family, kind | socket.SOCK_CLOEXEC)
        listener.settimeout(_POLL)
        if kind == socket.SOCK_STREAM:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((str(address), port))
            if kind == socket.SOCK_STREAM:
                listener.listen()
        except OSError:  # in use, or the address is gone
            listener.close()
            return None
        return listener

    return namespace.run(opened)


def _serve(listener: socket.socket) -> None:
    """Answer until the listener is closed."""
    while listener.fileno() >= 0:
        try:
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()
            else:
                data, sender = listener.recvfrom(1 << 16)
                listener.sendto(data, sender)
        except TimeoutError:
            continue
        except OSError:  # closed, or the sender is gone
            if listener.fileno() < 0 or listener.type == socket.SOCK_STREAM:
                return
