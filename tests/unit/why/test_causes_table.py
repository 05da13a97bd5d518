"""The tables of causes in docs/why.md have the kinds that the code about routes, sessions and tunnels names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import lab.why
from lab.why.inner import FRAMINGS, SAID
from lab.why.lost.routed import NO_ROUTE
from lab.why.refusal import REFUSALS

ROOM = Path(lab.why.__file__).parent
PAGE = ROOM.parents[1] / "docs/why.md"
MODULES = ("adjacency", "bgp_session", "hop", "nodes", "route", "routers", "selection", "static")

OF_TUNNELS = ("dco", "inner", "inner_judge", "nodes", "recursion", "tunnel")


def named(module: str) -> Iterator[str]:
    """Yield the kinds of the causes that a module makes; those with a protocol in their name once for each."""
    for call in ast.walk(ast.parse((ROOM / f"{module}.py").read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Cause":
            kind = call.args[0]
            if isinstance(kind, ast.Constant):
                yield str(kind.value)
            elif isinstance(kind, ast.JoinedStr):
                end = kind.values[-1]
                assert isinstance(end, ast.Constant)
                yield from (protocol + str(end.value) for protocol in ("ospf", "rip"))


def test_table_has_every_kind_of_routes_and_sessions() -> None:
    kinds = {kind for module in MODULES for kind in named(module)} | {"ospf-area", "ospf-timers"}
    assert len(kinds) > 30
    rows = re.findall(r"(?m)^\| `([a-z0-9-]+)` \|", PAGE.read_text())
    assert kinds - set(rows) == set()
    assert len(rows) == len(set(rows))


def test_tables_have_exactly_the_kinds_of_tunnels() -> None:
    kinds = {kind for module in OF_TUNNELS for kind in named(module)} | {*REFUSALS, *FRAMINGS, *SAID}
    tables = re.findall(r"(?s)<!-- causes of (?:tunnels|losses in tunnels) -->(.*?)<!-- /causes -->", PAGE.read_text())
    assert len(tables) == 2
    assert kinds == set(re.findall(r"(?m)^\| `([a-z0-9-]+)` \|", "".join(tables)))


def test_table_has_every_kind_of_lost_packets() -> None:
    kinds = {
        str(call.args[0].value)
        for module in (*ROOM.glob("lost/*.py"),)
        for call in ast.walk(ast.parse(module.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "cause"
        if isinstance(call.args[0], ast.Constant)
    } | set(NO_ROUTE)
    assert len(kinds) > 15
    assert kinds - set(re.findall(r"(?m)^\| `([a-z0-9-]+)` \|", PAGE.read_text())) == set()


def test_counts_are_not_more_than_the_tables_have() -> None:
    page = PAGE.read_text()
    rows = [cells.strip() for cells in re.findall(r"(?m)^\| `[a-z0-9-]+` \|.*\|([^|]*)\|$", page)]
    counts = re.search(r"<!-- counts -->\nOf (\d+) kinds, (\d+) are produced by tests", page)
    assert counts
    kinds, produced = map(int, counts.groups())
    assert 0 < kinds <= len(rows)
    assert 0 < produced <= sum(map(bool, rows))
