"""`lab announce`: originate prefixes on a router."""

import sys
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import LabName, NodeName, attached, complete_node
from lab.cli.output import few, progress
from lab.core.errors import ExpectationFailed, InputError

if TYPE_CHECKING:
    from lab.routing.peers import RouterPlan
    from lab.runtime.router import Router
    from lab.topology import Prefix

WITHIN = 30.0
"""Seconds until the change must have reached the peers; 0.1 s is usual."""
_SENT_WITHIN = 5.0
"""Seconds until a router must have sent a prefix to its neighbours; bgpd collects updates for one."""

Prefixes = Annotated[list[str], typer.Argument(metavar="PREFIX...", help="IPv4 and IPv6 prefixes.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the change is in the peers' kernel FIBs.")]


def announce(
    node: NodeName,
    prefixes: Prefixes,
    behind: Annotated[
        str | None,
        typer.Option(
            "--behind",
            metavar="HOST",
            help="A host on a link of the router, which gets an address in the prefix.",
            autocompletion=complete_node,
        ),
    ] = None,
    med: Annotated[int | None, typer.Option(min=0, help="MULTI_EXIT_DISC: the lowest is preferred.")] = None,
    prepend: Annotated[int, typer.Option(min=0, max=20, help="Times the own AS is prepended to the path.")] = 0,
    through: Annotated[
        str | None,
        typer.Option(metavar="INTERFACE", help="Set --med and --prepend for the neighbours on this interface only."),
    ] = None,
    wait: Wait = True,
    lab_name: LabName = None,
) -> None:
    """Originate prefixes on a router, or change their attributes."""
    if through is not None and med is None and not prepend:
        raise InputError("--through limits --med and --prepend to one interface: give one of them as well")
    wanted = [prefix_of(text) for text in prefixes]
    with attached(lab_name) as lab:
        router = lab.router(node)
        host = lab.host(behind) if behind else None
        if host:
            for prefix in wanted:
                print(f"{host} has {router.serve(prefix, host)}")
        since = time.monotonic()
        router.announce(wanted, med=med, prepend=prepend, through=through)
        ways = interfaces_towards(node, lab.plans) if wait else {}
        if wait and router.plan.own is not None:
            ways = {name: ways.get(name, ()) for name in _receivers(router, wanted, list(ways)) if name in lab.plans}
        with progress() as say:
            if ways:
                say(f"waiting for {few(ways)}")
            for peer, interfaces in ways.items():
                # With several interfaces, BGP picks one by preference and attributes.
                device = interfaces[0] if len(interfaces) == 1 else None
                try:
                    lab.router(peer).expect_in_fib(wanted, via=device, within=WITHIN, since=since)
                except ExpectationFailed as error:
                    if lab.plans[peer].own is None:
                        raise
                    raise ExpectationFailed(
                        f"{error}; {peer} runs with files of your own, which may reject it"
                    ) from error
        report_done(f"{router} announces {few(wanted)}", "the route", list(ways), since)


def _receivers(router: "Router", prefixes: "Sequence[Prefix]", neighbors: Sequence[str]) -> list[str]:
    """Return the nodes to which a router with files of the user's announces all prefixes.

    Raises `ExpectationFailed` if it sends one of them to no neighbour.
    """
    found = []
    for prefix in prefixes:
        receivers = router.receivers(prefix)
        since = time.monotonic()
        while receivers == [] and time.monotonic() < since + _SENT_WITHIN:
            time.sleep(0.1)
            receivers = router.receivers(prefix)
        if receivers is None:
            return list(neighbors)
        if not receivers:
            raise ExpectationFailed(
                f"{router} originates {prefix}, but sends it to no neighbour: no session is up, or its files keep it "
                "back by their policy"
            )
        found.append(receivers)
    return list(dict.fromkeys(node for receivers in found for node in receivers))


def interfaces_towards(node: str, plans: "Mapping[str, RouterPlan]") -> dict[str, tuple[str, ...]]:
    """Return the peers of a router by name, each with its own interfaces that lead to the router."""
    names = dict.fromkeys(peer.node for peer in plans[node].peers if peer.node in plans)
    return {name: tuple(dict.fromkeys(p.interface for p in plans[name].peers if p.node == node)) for name in names}


def prefix_of(text: str) -> "Prefix":
    """Read a prefix; raises `InputError`, with a suggestion if the host bits or the length are wrong."""
    try:
        network = ip_interface(text).network
    except ValueError as error:
        raise InputError(f"{text!r} is not a prefix: write e.g. 10.9.0.0/24 or 2001:db8:9::/64") from error
    if "/" not in text:
        raise InputError(f"{text!r} has no prefix length: write {network} for this one address")
    if ip_network(text, strict=False) != network or str(network.network_address) != str(ip_interface(text).ip):
        raise InputError(f"{text!r} has host bits set: did you mean {network}?")
    return network


def report_done(what: str, change: str, peers: Sequence[str], since: float) -> None:
    """Print on stderr what was done, and after how long the peers had the change in their kernel FIBs."""
    seen = f"; {few(peers)}: {change} in the kernel FIB after {time.monotonic() - since:.2f} s" if peers else ""
    print(f"{what}{seen}", file=sys.stderr)
