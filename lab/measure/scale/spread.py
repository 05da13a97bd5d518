"""`lab scale` on a cluster: each block on one machine, alone on it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cluster.job import Job, Message, Send, Work
from lab.cluster.machine import machine_facts
from lab.cluster.ship import Ship
from lab.core.progress import Say
from lab.engine import open_engine
from lab.measure.scale.record import ScaleTrial
from lab.measure.scale.run import MEDIA, Block, Plan, blocks, create, record, topology
from lab.render.node_spec import images_of
from lab.runtime.owner import sweep

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 3600.0
"""Seconds for one trial: a million prefixes take minutes."""


def run_on_cluster(
    plan: Plan, client: "Client", *, into: Path | None, ship: Ship = Ship.CHECK, say: Say
) -> list[ScaleTrial]:
    """Measure a plan on the workers of a cluster; the trials of a block are recorded when it is done."""
    from lab.cluster.gather import gather

    create(into)
    jobs = [Job(str(block), asdict(block), patience=_PATIENCE) for block in blocks(plan)]
    work = Work("lab.measure.scale.spread:Tables", {"plan": asdict(plan)})

    def received(message: Message) -> None:
        record(ScaleTrial.model_validate(message["trial"]), into)

    cargo = ship.cargo((image for over in MEDIA for image in images_of(topology(over, plan))), say)
    found = gather(client, jobs, work, say, received, cargo=cargo)
    return [ScaleTrial.model_validate(message["trial"]) for job in jobs for message in found[job.name]]


class Tables:
    """Measures blocks on this machine."""

    def __init__(self, context: Message) -> None:
        self._plan = Plan(**context["plan"])
        self._engine = open_engine()
        sweep(self._engine)

    def facts(self) -> Message:
        """Return this machine's facts."""
        return dict(machine_facts(self._engine))

    def do(self, order: Message, send: Send) -> None:
        """Measure a block."""
        for trial in Block(**order).trials(self._plan, self._engine, lambda what: send({"say": what})):
            send({"trial": trial.model_dump(mode="json")})

    def close(self) -> None:
        """Leave nothing: each trial takes its lab down."""
