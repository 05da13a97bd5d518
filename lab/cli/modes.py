"""`lab modes`: a comparison of the tunnel modes, measured on this host."""

from typing import Annotated, Any

import typer

from lab.cli.errors import FAILED, say
from lab.cli.options import AsJson, Certificates, Cluster, ShipOption, connected
from lab.cli.output import print_json, print_table, progress, verdict
from lab.cluster.ship import Ship
from lab.core.errors import InputError

_ALL = "all"


def modes(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="MODE", help="A mode or kind of kernel tunnel to measure; repeatable."),
    ] = None,
    openvpn: Annotated[str, typer.Option(metavar="VERSION[,VERSION]", help="Versions of OpenVPN, or all.")] = _ALL,
    transport: Annotated[str, typer.Option(metavar="tcp|udp|all", help="The transport of the tunnels.")] = _ALL,
    seconds: Annotated[int, typer.Option(min=1, max=60, help="Duration of each run of iperf3.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="Number of measurements of throughput and start.")] = 3,
    clients: Annotated[
        str, typer.Option(metavar="N[,N]", help="Numbers of clients of the hubs whose memory is measured.")
    ] = "1,8,32",
    cluster: Cluster = None,
    certs: Certificates = None,
    ship: ShipOption = Ship.CHECK,
    quick: Annotated[bool, typer.Option("--quick", help="Print the declared properties, measure nothing.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the tunnel modes and kernel tunnels: what they forward, throughput, start and memory.

    Each is measured in labs of its own. The exit code is 1 if a mode differs from its declaration, or if a measurement
    failed although the host lacks nothing.
    """
    from lab.compare.sheet import markdown as as_markdown
    from lab.compare.sheet import sheets
    from lab.compare.spread import survey_on_cluster
    from lab.compare.survey import (
        ALTERNATIVES,
        TRANSPORTS,
        Declared,
        Effort,
        Host,
        Survey,
        declare_kernel_tunnel,
        survey,
    )
    from lab.engine import open_engine
    from lab.image import VERSIONS
    from lab.tunnel import modes as installed

    names = _some("--only", only or [], (*installed(), *ALTERNATIVES))
    versions = _some("--openvpn", openvpn.split(","), VERSIONS)
    transports = _some("--transport", transport.split(","), TRANSPORTS)
    effort = Effort(seconds, rounds, _numbers(clients))
    chosen = [installed()[name] for name in names if name in installed()]
    beside = [kind for kind in ALTERNATIVES if kind in names]
    if quick:
        found = Survey(Host.here(), None, (*map(Declared.of, chosen), *map(declare_kernel_tunnel, beside)))
    else:
        options: dict[str, Any] = {"openvpn": versions, "transports": transports, "alternatives": beside}
        with progress() as tell:
            if cluster:
                with connected(cluster, certs) as client:
                    found = survey_on_cluster(chosen, client, **options, effort=effort, ship=ship, say=tell)
            else:
                found = survey(chosen, engine=open_engine(), **options, effort=effort, say=tell)
    if as_json:
        print_json(found)
    elif markdown:
        print(as_markdown(found), end="")
    else:
        for sheet in sheets(found):
            rows = [[verdict(False, cell) if not row.good else cell for cell in row.cells] for row in sheet.rows]
            print_table(sheet.title, sheet.columns, rows)
    for trouble in found.troubles:
        say(f"lab: {trouble}")
    if found.troubles:
        raise typer.Exit(FAILED)


def _some(option: str, wanted: list[str], known: tuple[str, ...]) -> list[str]:
    """Return the wanted words in the order of the known ones; all known ones for none or `all`."""
    for word in wanted:
        if word not in (*known, _ALL):
            raise InputError(f"{option}: unknown {word!r}: give {', '.join(known)} or {_ALL}")
    return [word for word in known if not wanted or word in wanted or _ALL in wanted]


def _numbers(text: str) -> tuple[int, ...]:
    from lab.compare.labs import MAX_CLIENTS

    words = text.split(",")
    if not all(word.isdecimal() and 1 <= int(word) <= MAX_CLIENTS for word in words):
        raise InputError(f"--clients {text}: invalid: give numbers from 1 to {MAX_CLIENTS}, as in 1,8,32")
    return tuple(sorted({int(word) for word in words}))
