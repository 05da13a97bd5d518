"""Take a lab down by the labels of its nodes, in whatever state it is."""

import time
from contextlib import suppress

from lab.core.errors import InputError
from lab.core.expect import POLL
from lab.engine import Engine, open_engine
from lab.host.hosts_file import remove_names
from lab.runtime.store import LabDirectory, locked
from lab.topology.names import objection_to_name

_CREATED_WITHIN = 2.0
"""Seconds in which the engine creates a container at the latest; 0.1 s is usual."""


def destroy(name: str, *, engine: Engine | None = None) -> bool:
    """Remove all nodes and networks with the lab's label, and the lab's directory.

    Returns False if there was nothing to remove.

    It needs the labels only, so it works after the process that deployed the lab was killed. Raises `InputError` for a
    name that no lab can have, such as `..`, which would name a directory of the user.
    """
    if objection := objection_to_name(name):
        raise InputError(f"{name!r} is not the name of a lab: {objection}")
    engine = engine or open_engine()
    with locked(name):
        instances = engine.find(name)
        networks = engine.networks(name)
        directories = {i.directory for i in instances} | {n.directory for n in networks}
        stores = [LabDirectory(d) for d in directories | {LabDirectory.default(name).path}]
        engine.destroy(instances)
        expected = {node for store in stores for node in store.nodes}
        _destroy_late(engine, name, expected - {i.node for i in instances})
        if networks or any(store.has_management for store in stores):
            remove_network(engine, name)
        found = bool(instances or networks)
        for store in stores:
            found = found or store.exists
            store.remove()
    return found


def remove_network(engine: Engine, name: str) -> None:
    """Remove the management network of a lab, and the names of its nodes in the host's /etc/hosts."""
    engine.remove_networks(name)
    with suppress(OSError):  # it could not be written either
        remove_names(name)


def _destroy_late(engine: Engine, name: str, missing: set[str]) -> None:
    """Destroy nodes that the engine is still creating, as it does even after its client was killed."""
    until = time.monotonic() + _CREATED_WITHIN
    while missing and time.monotonic() < until:
        late = engine.find(name)
        engine.destroy(late)
        if late:
            missing = missing - {i.node for i in late}
            until = time.monotonic() + _CREATED_WITHIN
        else:
            time.sleep(POLL)
