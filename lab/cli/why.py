"""`lab why`: why a packet does not arrive, or the path that it takes."""

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.errors import FAILED
from lab.cli.options import AsJson, FamilyName, LabName, attached, complete_node
from lab.cli.output import print_json, print_table, verdict
from lab.core.errors import InputError

if TYPE_CHECKING:
    from lab.core.prefixes import Address
    from lab.why.probe import Protocol
    from lab.why.report import WhyReport

_LARGEST = 65535
_MOST = 1000


def why(
    sender: Annotated[str, typer.Argument(metavar="FROM", help="The node that sends.", autocompletion=complete_node)],
    to: Annotated[str, typer.Argument(metavar="TO", help="A node, or an address.", autocompletion=complete_node)],
    udp: Annotated[
        int | None, typer.Option("--udp", metavar="PORT", min=1, max=_LARGEST, help="Send datagrams to this port.")
    ] = None,
    tcp: Annotated[
        int | None, typer.Option("--tcp", metavar="PORT", min=1, max=_LARGEST, help="Open connections to this port.")
    ] = None,
    family: Annotated[
        FamilyName | None, typer.Option("--family", help="Only this address family; by default each that TO has.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", metavar="BYTES", min=1, max=_LARGEST, help="Size of each IP packet.")
    ] = None,
    df: Annotated[bool, typer.Option("--df", help="Forbid fragmentation (DF).")] = False,
    count: Annotated[int, typer.Option("--count", "-c", min=1, max=_MOST, help="Packets of each family.")] = 3,
    from_address: Annotated[
        str | None, typer.Option("--from-address", metavar="ADDRESS", help="Send from this address of FROM.")
    ] = None,
    pcap: Annotated[
        Path | None,
        typer.Option(
            "--pcap", metavar="FILE", help="Write all that was captured as pcapng, each packet with its place."
        ),
    ] = None,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Send packets, follow them through the lab, and name the cause if they are lost; the exit code is then 1.

    Echo requests, unless --udp or --tcp is given. Nothing in the lab is changed.
    """
    from lab.why.ask import ask
    from lab.why.probe import Probe
    from lab.why.report import report
    from lab.why.targets import targets

    if udp is not None and tcp is not None:
        raise InputError("--udp and --tcp exclude each other: give one")
    if tcp is not None and (size is not None or df):
        raise InputError("--size and --df go with echo requests and --udp: a SYN has no payload")
    source = _address(from_address)
    protocol: Protocol = "tcp" if tcp is not None else "udp" if udp is not None else "icmp"
    reports: list[WhyReport] = []
    with attached(lab_name) as lab:
        found = targets(lab, to, None if family is None else family.value)
        if source is not None:
            found = [(node, address) for node, address in found if address.version == source.version]
            if not found:
                raise InputError(f"--from-address {source}: {to} has no address of this family")
        traces = []
        for node, address in found:
            probe = Probe(address, protocol, tcp or udp or 0, size, df, count, source)
            traced, explanation = ask(lab, sender, node, probe)
            traces.append(traced)
            reports.append(report(lab, traced, explanation))
        if pcap is not None:
            from lab.why.pcapng import write_pcapng

            with pcap.open("wb") as stream:
                write_pcapng(stream, traces)
        if as_json:
            print_json(
                {
                    "lab": lab.name,
                    "from": sender,
                    "to": to,
                    "passes": all(r.passes for r in reports),
                    "results": reports,
                }
            )
        else:
            for one in reports:
                _print(one)
    if not all(one.passes for one in reports):
        raise typer.Exit(FAILED)


def _address(text: str | None) -> "Address | None":
    if text is None:
        return None
    try:
        return ip_address(text)
    except ValueError as error:
        raise InputError(f"--from-address {text}: write an IPv4 or IPv6 address") from error


def _print(found: "WhyReport") -> None:
    receiver = f" ({found.receiver})" if found.receiver else ""
    title = f"{found.sender} to {found.destination}{receiver}: {found.passed} of {found.sent} passed, {found.packet}"
    rows = [
        (hop.way, hop.node, hop.arrives_on, hop.leaves_on, f"{hop.milliseconds:.2f}", hop.route) for hop in found.hops
    ]
    print_table(title, ["way", "node", "arrives on", "leaves on", "#ms", "route"], rows)
    print(verdict(found.passes, found.sentence))
    print()
