"""`lab routes`: the RIB and the kernel's FIB."""

from typing import Annotated

import typer

from lab.cli.options import AsJson, FamilyName, LabName, attached, complete_node
from lab.cli.output import print_json, print_table


def routes(
    node: Annotated[
        str | None,
        typer.Argument(metavar="[NODE]", help="By default all routers.", autocompletion=complete_node),
    ] = None,
    rib: Annotated[bool, typer.Option("--rib", help="Only the RIB.")] = False,
    fib: Annotated[bool, typer.Option("--fib", help="Only the kernel's FIB.")] = False,
    family: Annotated[FamilyName | None, typer.Option("--family", help="Only this address family.")] = None,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Show the RIB and the kernel's FIB of one node or of all routers.

    In a lab without routers it shows the FIB of all nodes.
    """
    from lab.status import tables

    both = rib == fib
    with attached(lab_name) as lab:
        routers = [name for name, n in lab.topology.nodes.items() if n.intent.router]
        nodes = [name for name, n in lab.topology.nodes.items() if n.kind == "linux"]
        names = [node] if node else routers or nodes
        families = tables.families(family.value if family else None)
        # A node without a routing daemon is shown with its FIB only; with --rib its missing RIB is an error.
        with_rib = [name for name in names if rib or name in routers] if rib or both else []
        paths = [row for name in with_rib for row in tables.rib(lab.router(name), families)]
        entries = [row for name in names for row in tables.fib(lab.node(name), families)] if fib or both else []
    if as_json:
        print_json({"lab": lab.name, "rib": paths, "fib": entries})
        return
    if with_rib:
        print_table(
            "BGP RIB",
            ["router", "prefix", "", "next hop", "from", "AS path"],
            [
                (
                    p.node,
                    p.prefix,
                    ("*" if p.valid else "") + (">" if p.best else ""),
                    _words(p.next_hops),
                    p.peer or "this router",
                    _words(p.as_path),
                )
                for p in paths
            ],
        )
    if fib or both:
        print_table(
            "Kernel FIB",
            ["node", "prefix", "via", "interface", "set by", "#metric"],
            [
                (e.node, e.prefix, _words(e.next_hops) or "on link", _words(e.interfaces), e.protocol, e.metric)
                for e in entries
            ],
        )


def _words(items: tuple[object, ...]) -> str:
    return " ".join(map(str, items))
