"""`lab announce`, `lab withdraw`: let a router originate prefixes, or no longer."""

import sys
import time
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.choose import LabName, NodeName, attached, complete_node
from lab.cli.output import progress
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.runtime.lab import Lab
    from lab.runtime.router import Router
    from lab.topology import Prefix

_WITHIN = 30.0
"""Seconds until the peers have heard of it; a tenth of one is usual."""

Prefixes = Annotated[list[str], typer.Argument(metavar="PREFIX...", help="IPv4 and IPv6 prefixes.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the peers' kernels have heard of it.")]


def announce(
    node: NodeName,
    prefixes: Prefixes,
    behind: Annotated[
        str | None,
        typer.Option(
            "--behind",
            metavar="HOST",
            help="A host on a wire of the router that shall live in the prefix.",
            autocompletion=complete_node,
        ),
    ] = None,
    med: Annotated[int | None, typer.Option(min=0, help="Their MULTI_EXIT_DISC: the lowest is preferred.")] = None,
    prepend: Annotated[int, typer.Option(min=0, max=20, help="Times the own AS stands once more in the path.")] = 0,
    through: Annotated[
        str | None,
        typer.Option(metavar="INTERFACE", help="Set these only for the neighbours behind this interface."),
    ] = None,
    wait: Wait = True,
    lab_name: LabName = None,
) -> None:
    """Let a router originate prefixes; those that it does already get other attributes so."""
    if through is not None and med is None and not prepend:
        raise InputError("--through says for whom attributes are set: give --med or --prepend with it")
    wanted = [prefix_of(text) for text in prefixes]
    with attached(lab_name) as lab:
        router = lab.router(node)
        host = lab.host(behind) if behind else None
        if host:
            for prefix in wanted:
                print(f"{host} has {router.serve(prefix, host)}")
        since = time.monotonic()
        router.announce(wanted, med=med, prepend=prepend, through=through)
        with progress() as say:
            for peer, device in peers(lab, router) if wait else ():
                say(f"waiting for {peer}")
                # Of several ways to one router, a preference or an attribute makes one the better.
                several = [other.name for other, _ in peers(lab, router)].count(peer.name) > 1
                peer.expect_in_fib(wanted, via=None if several else device, within=_WITHIN, since=since)
        _done(f"{router} announces", wanted, [str(p) for p, _ in peers(lab, router)] if wait else [], "has it", since)


def withdraw(
    node: NodeName,
    prefixes: Prefixes,
    behind: Annotated[
        str | None,
        typer.Option(
            "--behind",
            metavar="HOST",
            help="The host that lived in the prefix and gives its address back.",
            autocompletion=complete_node,
        ),
    ] = None,
    wait: Wait = True,
    lab_name: LabName = None,
) -> None:
    """Let a router originate prefixes no longer."""
    wanted = [prefix_of(text) for text in prefixes]
    with attached(lab_name) as lab:
        router = lab.router(node)
        host = lab.host(behind) if behind else None
        since = time.monotonic()
        router.withdraw(wanted)
        if host:
            for prefix in wanted:
                router.serve_no_longer(prefix, host)
        with progress() as say:
            for peer, _ in peers(lab, router) if wait else ():
                say(f"waiting for {peer}")
                peer.expect_not_in_fib(wanted, within=_WITHIN, since=since)
        _done(f"{router} withdrew", wanted, [str(p) for p, _ in peers(lab, router)] if wait else [], "lost it", since)


def prefix_of(text: str) -> "Prefix":
    """Read a prefix; raises `InputError`, with the right one where that can be told."""
    try:
        network = ip_interface(text).network
    except ValueError as error:
        raise InputError(f"{text!r} is no prefix: write e.g. 10.9.0.0/24 or 2001:db8:9::/64") from error
    if "/" not in text:
        raise InputError(f"{text!r} has no prefix length: write {network} for this one address")
    if ip_network(text, strict=False) != network or str(network.network_address) != str(ip_interface(text).ip):
        raise InputError(f"{text!r} has host bits set: did you mean {network}?")
    return network


def peers(lab: "Lab", router: "Router") -> "list[tuple[Router, str]]":
    """The router's peers, each with its own interface that leads to it."""
    found = [
        (other, peer.interface)
        for name in dict.fromkeys(peer.node for peer in router.plan.peers)
        for other in [lab.router(name)]
        for peer in other.plan.peers
        if peer.node == router.name
    ]
    # Each family may have a session of its own.
    return list({(other.name, interface): (other, interface) for other, interface in found}.values())


def _done(what: str, prefixes: "list[Prefix]", names: list[str], then: str, since: float) -> None:
    heard = f"; {', '.join(names)} {then} after {time.monotonic() - since:.2f} s" if names else ""
    print(f"{what} {', '.join(map(str, prefixes))}{heard}", file=sys.stderr)
