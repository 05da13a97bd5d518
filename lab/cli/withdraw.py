"""`lab withdraw`: stop originating prefixes on a router."""

import time
from typing import Annotated

import typer

from lab.cli.announce import WITHIN, Prefixes, Wait, interfaces_towards, prefix_of, report_done
from lab.cli.options import LabName, NodeName, attached, complete_node
from lab.cli.output import few, progress


def withdraw(
    node: NodeName,
    prefixes: Prefixes,
    behind: Annotated[
        str | None,
        typer.Option(
            "--behind",
            metavar="HOST",
            help="The host that has an address in the prefix, which is removed.",
            autocompletion=complete_node,
        ),
    ] = None,
    wait: Wait = True,
    lab_name: LabName = None,
) -> None:
    """Stop originating prefixes on a router."""
    wanted = [prefix_of(text) for text in prefixes]
    with attached(lab_name) as lab:
        router = lab.router(node)
        host = lab.host(behind) if behind else None
        since = time.monotonic()
        router.withdraw(wanted)
        if host:
            for prefix in wanted:
                router.stop_serving(prefix, host)
        peers = interfaces_towards(node, lab.plans) if wait else {}
        with progress() as say:
            if peers:
                say(f"waiting for {few(peers)}")
            for peer in peers:
                lab.router(peer).expect_not_in_fib(wanted, within=WITHIN, since=since)
        report_done(f"{router} withdrew {few(wanted)}", "no route", list(peers), since)
