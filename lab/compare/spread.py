"""`lab modes` on a cluster: each row on one machine, alone on it, beside the bare wire of the same lab."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from lab.cluster.job import Job, Message, Send, Work
from lab.cluster.machine import machine_facts
from lab.cluster.ship import Ship
from lab.compare.labs import image_of
from lab.compare.survey import (
    Effort,
    Host,
    Measured,
    MeasuredHub,
    Step,
    Survey,
    measure_step,
    put_together,
    steps_of,
)
from lab.core.progress import Say
from lab.engine import open_engine
from lab.runtime.owner import sweep
from lab.topology import EncapsulationKind
from lab.tunnel import TunnelMode

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 1800.0
"""Seconds without a word: a hub of two hundred clients takes minutes."""
_ROWS: TypeAdapter[Measured | MeasuredHub] = TypeAdapter(Measured | MeasuredHub)


def survey_on_cluster(
    chosen: Sequence[TunnelMode],
    client: "Client",
    *,
    openvpn: Sequence[str],
    transports: Sequence[str],
    alternatives: Sequence[EncapsulationKind],
    effort: Effort,
    ship: Ship = Ship.CHECK,
    say: Say,
) -> Survey:
    """Measure modes on the workers of a cluster; the host of the survey is one of them."""
    from lab.cluster.gather import gather

    steps = steps_of(chosen, openvpn=openvpn, transports=transports, alternatives=alternatives, effort=effort)
    jobs = [Job(str(step), asdict(step), patience=_PATIENCE) for step in steps]
    work = Work("lab.compare.spread:Rows", {"effort": asdict(effort)})
    cargo = ship.cargo((image_of(step.openvpn) for step in steps), say)
    found = gather(client, jobs, work, say, cargo=cargo)
    messages = [found[job.name][0] for job in jobs]
    host = Host(**messages[0]["host"]) if messages else Host.here()
    rows = [_ROWS.validate_python(message["row"]) for message in messages]
    return put_together(host, effort, chosen, alternatives, rows)


class Rows:
    """Measures rows on this machine."""

    def __init__(self, context: Message) -> None:
        effort = context["effort"]
        self._effort = Effort(**{**effort, "clients": tuple(effort["clients"])})
        self._engine = open_engine()
        sweep(self._engine)

    def facts(self) -> Message:
        """Return this machine's facts."""
        return dict(machine_facts(self._engine))

    def do(self, order: Message, send: Send) -> None:
        """Measure a row."""
        host = asdict(Host.here())
        row = measure_step(Step(**order), self._engine, self._effort, lambda what: send({"say": what}))
        send({"host": host, "row": _ROWS.dump_python(row, mode="json")})

    def close(self) -> None:
        """Leave nothing: each row takes its lab down."""
