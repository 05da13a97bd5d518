"""A survey as tables of text, for a terminal and for Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from lab.compare.facts import Disagreement, format_fact
from lab.compare.survey import Declared, Measured, MeasuredHub, Survey
from lab.tunnel import display_name

_MIB = 1 << 20
_GIGA = 1e9
_MEGA = 1e6


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: tuple[str, ...]
    good: bool = True
    """False if a measurement failed or differs from its declaration."""


@dataclass(frozen=True)
class Sheet:
    """A table; the columns whose names begin with `#` hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def sheets(survey: Survey) -> Iterator[Sheet]:
    """Yield the tables of a survey: the measurements, or the declarations if nothing was measured."""
    by_name = {mode.mode: mode for mode in survey.declared}
    if survey.effort is None:
        yield _declared(survey.declared)
        return
    yield _tunnels(survey, by_name)
    yield _hubs(survey)


def markdown(survey: Survey) -> str:
    """Return all tables of a survey as Markdown."""
    return "\n".join(f"{sheet.title}:\n\n{_markdown(sheet)}" for sheet in sheets(survey))


def _markdown(sheet: Sheet) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    rules = ["---:" if column.startswith("#") else "---" for column in sheet.columns]
    names = [column.lstrip("#") for column in sheet.columns]
    rows = (line([f"**{c}**" if c and not row.good else c for c in row.cells]) for row in sheet.rows)
    return line(names) + line(rules) + "".join(rows)


def _declared(modes: Sequence[Declared]) -> Sheet:
    columns = (
        *("mode", "OpenVPN", "needs iroute", "clients per process", "families routed", "multicast", "MTU"),
        *("kernel", "summary"),
    )
    rows = [
        Row(
            (
                _mode_name(mode),
                ", ".join(mode.openvpn),
                format_fact(mode.facts.needs_iroute),
                _clients(mode),
                format_fact(mode.facts.families),
                format_fact(mode.facts.multicast),
                format_fact(mode.facts.mtu),
                mode.kernel or "any",
                f"{mode.summary}; deprecated: {mode.deprecated}" if mode.deprecated else mode.summary,
            )
        )
        for mode in modes
    ]
    return Sheet("Declared properties of the modes; nothing was measured", columns, tuple(rows))


def _tunnels(survey: Survey, modes: "dict[str, Declared]") -> Sheet:
    effort = survey.effort
    assert effort is not None
    columns = (
        *("mode", "OpenVPN", "over", "needs iroute", "clients per process", "families routed", "multicast", "#MTU"),
        *(
            "#share of bare wire, to server",
            "#share of bare wire, to client",
            "#bare wire, Gbit/s",
            "#start to routes, s",
        ),
    )
    title = (
        "Tunnels between two routers, compared with the bare wire: TCP throughput, "
        f"medians of {effort.rounds} runs of {effort.seconds} s; {survey.host}"
    )
    return Sheet(title, columns, tuple(_tunnel(row, modes[row.mode], len(columns)) for row in survey.tunnels))


def _tunnel(row: Measured, mode: Declared, width: int) -> Row:
    head = (_mode_name(mode), row.openvpn, row.transport)
    if row.facts is None:
        return _unmeasured(head, row, width)
    differ = {d.fact: d for d in row.disagreements}
    ways = [row.throughput[to] for to in ("to-server", "to-client") if to in row.throughput]
    wire = " / ".join(f"{median(way.wire) / _GIGA:.1f}" for way in ways)
    cells = (
        *head,
        _fact(format_fact(row.facts.needs_iroute), differ.get("needs iroute")),
        _clients(mode),
        _fact(format_fact(row.facts.families), differ.get("families")),
        _fact(format_fact(row.facts.multicast), differ.get("multicast")),
        _fact(format_fact(row.facts.mtu), differ.get("mtu")),
        *(f"{way.ratio:.1%} ({median(way.tunnel) / _MEGA:.0f} Mbit/s)" for way in ways),
        wire,
        f"{row.seconds:.2f}",
    )
    return Row(cells, good=not differ)


def _hubs(survey: Survey) -> Sheet:
    """Return a table with a row per mode and version, and a column per number of clients."""
    effort = survey.effort
    assert effort is not None
    modes = {mode.mode: mode for mode in survey.declared}
    columns = (
        *("mode", "OpenVPN", "processes", "clients routed for"),
        *(f"#MiB per client with {count}" for count in effort.clients),
    )
    title = "Memory of the server's OpenVPN processes, over UDP"
    rows = []
    for key in dict.fromkeys((row.mode, row.openvpn) for row in survey.hubs):
        group = [row for row in survey.hubs if (row.mode, row.openvpn) == key]
        rows.append(_hub(group, modes[key[0]], effort.clients, len(columns)))
    return Sheet(title, columns, tuple(rows))


def _hub(group: Sequence[MeasuredHub], mode: Declared, clients: Sequence[int], width: int) -> Row:
    head = (_mode_name(mode), group[0].openvpn)
    seen = [row.hub for row in group if row.hub is not None]
    if not seen:
        return _unmeasured(head, group[0], width)
    differ = {d.fact: d for row in group for d in row.disagreements}
    cells = (
        *head,
        _fact(", ".join(str(hub.processes) for hub in seen), differ.get("processes")),
        _fact(", ".join(f"{hub.routed_for} of {hub.clients}" for hub in seen), differ.get("clients routed for")),
        *(_memory(next((row for row in group if row.clients == count), None)) for count in clients),
    )
    return Row(cells, good=not differ and all(row.failure is None for row in group))


def _memory(row: MeasuredHub | None) -> str:
    if row is None:
        return ""
    return _not_measured(row) if row.hub is None else f"{row.hub.memory_per_client / _MIB:.1f}"


def _unmeasured(head: tuple[str, ...], row: Measured | MeasuredHub, width: int) -> Row:
    rest = ("",) * (width - len(head) - 1)
    return Row((*head, _not_measured(row), *rest), good=row.failure is None)


def _not_measured(row: Measured | MeasuredHub) -> str:
    return f"not measured: {row.missing or row.failure}"


def _mode_name(mode: Declared) -> str:
    return display_name(mode.mode)


def _clients(mode: Declared) -> str:
    taken = "any number" if mode.clients_per_process is None else str(mode.clients_per_process)
    return taken if mode.clients_routed_for is None else f"{taken}, routes for {mode.clients_routed_for}"


def _fact(seen: str, differs: Disagreement | None) -> str:
    return seen if differs is None else f"{seen} (declared: {differs.declared})"
