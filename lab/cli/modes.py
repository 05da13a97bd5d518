"""`lab modes`: the tunnel modes side by side, measured on this machine."""

from typing import Annotated

import typer

from lab.cli.errors import FAILED, say
from lab.cli.options import AsJson
from lab.cli.output import print_json, print_table, progress, verdict
from lab.core.errors import InputError

_ALL = "all"


def modes(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="MODE", help="This mode, or kind of kernel tunnel; repeatable."),
    ] = None,
    openvpn: Annotated[str, typer.Option(metavar="VERSION[,VERSION]", help="OpenVPN's versions, or all.")] = _ALL,
    transport: Annotated[str, typer.Option(metavar="tcp|udp|all", help="What the tunnels run over.")] = _ALL,
    seconds: Annotated[int, typer.Option(min=1, max=60, help="Of each run of iperf3.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often throughput and start are measured.")] = 3,
    clients: Annotated[
        str, typer.Option(metavar="N[,N]", help="The clients of the hubs whose memory is measured.")
    ] = "1,8,32",
    quick: Annotated[bool, typer.Option("--quick", help="Print what the modes declare, and measure nothing.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the tunnel modes, and kernel tunnels beside them: what passes, how fast, in how much memory.

    Everything is measured in labs of its own, one after another. The exit code is 1 where a mode is not what it
    declares, or could not be measured although nothing is missing.
    """
    from lab.compare.sheet import markdown as as_markdown
    from lab.compare.sheet import sheets
    from lab.compare.survey import ALTERNATIVES, TRANSPORTS, Declared, Effort, Machine, Survey, declared_of, survey
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
        found = Survey(Machine.here(), None, (*map(Declared.of, chosen), *map(declared_of, beside)))
    else:
        with progress() as tell:
            found = survey(
                chosen,
                engine=open_engine(),
                openvpn=versions,
                transports=transports,
                alternatives=beside,
                effort=effort,
                say=tell,
            )
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
    """What was asked for, in the order of what there is; all of it where nothing or `all` was asked for."""
    for word in wanted:
        if word not in (*known, _ALL):
            raise InputError(f"{option}: there is no {word!r}; give {', '.join(known)} or {_ALL}")
    return [word for word in known if not wanted or word in wanted or _ALL in wanted]


def _numbers(text: str) -> tuple[int, ...]:
    from lab.compare.labs import MOST_CLIENTS

    words = text.split(",")
    if not all(word.isdecimal() and 1 <= int(word) <= MOST_CLIENTS for word in words):
        raise InputError(f"--clients {text}: give numbers from 1 to {MOST_CLIENTS}, as in 1,8,32")
    return tuple(sorted({int(word) for word in words}))
