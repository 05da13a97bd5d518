"""Topologies by name or path, read with the vocabulary of all that is installed."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lab.catalogue.files import find_topology
from lab.image import NODE_IMAGE, VERSIONS, beside, repository
from lab.routing import daemons
from lab.topology import Objection, Topology, TrafficClass, TunnelIntent, Vocabulary, read
from lab.tunnel import TunnelMode, modes
from lab.tunnel.profile import objections_of_profile


def vocabulary() -> Vocabulary:
    """The tunnel modes, routing daemons and images that the reader shall know."""
    return Vocabulary(
        modes={name: partial(_check, mode) for name, mode in modes().items()},
        daemons={name: daemon.check for name, daemon in daemons().items()},
        openvpn=VERSIONS,
        node_image=NODE_IMAGE,
        images=[repository(name) for name in beside()],
        many_clients=[name for name, mode in modes().items() if mode.traits.clients_per_process != 1],
        devices={name: mode.traits.device for name, mode in modes().items()},
        callers=[name for name, daemon in daemons().items() if daemon.calls_unnumbered],
        unsupported=_unsupported,
        room=_room,
    )


def _check(mode: TunnelMode, tunnel: TunnelIntent) -> Sequence[Objection]:
    return [*mode.check(tunnel), *objections_of_profile(tunnel)]


def _room(tunnel: TunnelIntent) -> int | None:
    said = tunnel.options.get("max-clients")
    return said if isinstance(said, int) else None  # what is no number is the mode's own to refuse


def _unsupported(tunnel: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
    mode = modes().get(tunnel.mode)
    return {} if mode is None else mode.unsupported(tunnel, clients)


def load(
    topology: str | Path,
    *,
    name: str | None = None,
    openvpn: str | None = None,
    tunnel: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Topology:
    """Read a topology; `tunnel` is laid over every tunnel's intent, `variables` over the environment's.

    Raises `TopologyError` with all mistakes.
    """
    environ = {**os.environ, **(variables or {})}
    return read(find_topology(topology), vocabulary(), name=name, openvpn=openvpn, tunnel=tunnel, environ=environ)
