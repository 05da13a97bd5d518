"""BIRD with a large table, which it announces and withdraws on command."""

import time
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.core.expect import Expectation, wait_for
from lab.core.files import RenderedFile, templates
from lab.engine.node import RunningNode
from lab.measure.scale.receiver import PORT
from lab.measure.scale.table import Table
from lab.routing import RouterPlan
from lab.routing.bird.control import Control, Line
from lab.topology import Address

RECEIVER_ASN = 65003
_CONFIGURATION = PurePosixPath("/etc/bird")
_PATIENCE = 300.0
"""Seconds for one answer of BIRD; it reads a million routes in two or three, on a busy host in more."""
_ROUTES = 1007


@dataclass(frozen=True)
class Injector:
    """The router that announces the table."""

    node: RunningNode
    plan: RouterPlan
    receiver: Address
    """The address of the discarding receiver, on the node of the only peer."""

    def load(self, table: Table) -> None:
        """Load the table into BIRD, without announcing it yet."""
        routes = RenderedFile(_CONFIGURATION / "full.conf", "".join(table.lines()))
        text = (
            templates("lab.measure.scale")
            .get_template("scale.conf.j2")
            .render(
                family=table.family,
                asn=self.plan.asn,
                receiver=self.receiver,
                port=PORT,
                receiver_asn=RECEIVER_ASN,
            )
        )
        for file in (routes, RenderedFile(_CONFIGURATION / "scale.conf", text)):
            file.write_below(self.node.files)
        self._ask(f'configure "{_CONFIGURATION}/scale.conf"')
        wait_for(
            Expectation(
                what=f"{len(table)} routes in BIRD's own table",
                node=self.node.name,
                look=self._loaded,
                met=lambda count: count == len(table),
            ),
            within=_PATIENCE,
        )

    def announce(self) -> float:
        """Announce all routes; return the time of the command, on CLOCK_MONOTONIC."""
        return self._cause("enable announce")

    def withdraw(self) -> float:
        """Withdraw all routes; return the time of the command, on CLOCK_MONOTONIC."""
        return self._cause("disable announce")

    def select_receiver(self) -> None:
        """Enable the session with the discarding receiver, disable the one with the peer."""
        self._ask("disable peer1")
        self._ask("enable discard")

    def select_peer(self) -> None:
        """Enable the session with the peer, disable the one with the discarding receiver."""
        self._ask("disable discard")
        self._ask("enable peer1")

    def _loaded(self) -> int:
        counts = [line.text.split() for line in self._ask("show route count table full") if line.code == _ROUTES]
        return int(counts[0][0]) if counts else 0

    def _cause(self, command: str) -> float:
        with Control(self.node.root, patience=_PATIENCE) as bird:
            caused = time.monotonic()
            bird.ask(command)
        return caused

    def _ask(self, command: str) -> list[Line]:
        with Control(self.node.root, patience=_PATIENCE) as bird:
            return bird.ask(command)
