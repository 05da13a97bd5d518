"""Read topologies by name or path, with the installed modes, daemons and images."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lab.catalogue.topologies import find_topology
from lab.catalogue.withheld import withheld
from lab.image import NODE_IMAGE, OLD_VERSIONS, VERSIONS, repository, topology_images
from lab.own import resolve
from lab.routing import daemons
from lab.topology import Objection, Topology, TrafficClass, TunnelIntent, Vocabulary, read
from lab.tunnel import TunnelMode, modes
from lab.tunnel.profile import objections_of_profile


def vocabulary() -> Vocabulary:
    """Return the installed tunnel modes, routing daemons and images, as the reader needs them."""
    return Vocabulary(
        modes={name: partial(_check, mode) for name, mode in modes().items()},
        daemons={name: daemon.check for name, daemon in daemons().items()},
        openvpn=(*VERSIONS, *OLD_VERSIONS),
        node_image=NODE_IMAGE,
        images=[repository(name) for name in topology_images()],
        many_clients=[name for name, mode in modes().items() if mode.traits.clients_per_process != 1],
        devices={name: mode.traits.device for name, mode in modes().items()},
        initiators=[name for name, daemon in daemons().items() if daemon.initiates_unnumbered],
        unsupported=_unsupported,
        max_clients=_max_clients,
    )


def _check(mode: TunnelMode, tunnel: TunnelIntent) -> Sequence[Objection]:
    return [*mode.check(tunnel), *objections_of_profile(tunnel)]


def _max_clients(tunnel: TunnelIntent) -> int | None:
    value = tunnel.options.get("max-clients")
    return value if isinstance(value, int) else None  # the mode's check refuses other values


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
    run_scripts: bool = False,
    privileged: bool = False,
    mgmt: bool = False,
) -> Topology:
    """Read a topology, given as a file or as the name of one that comes with the lab.

    `name` replaces the lab's name, `openvpn` the version of OpenVPN. `tunnel` overrides keys of every tunnel, its
    `options` key by key; `variables` override the environment, from which `${VAR}` in the file is replaced.
    With `run_scripts` the nodes run the scripts that the user's own files name, instead of stubs that log their calls.
    With `privileged` nodes of images that are not the lab's get all privileges, unless the file says
    otherwise; with `mgmt` nodes are in containerlab's management network, unless it says otherwise.

    Raises `TopologyError` with all mistakes of the file.
    """
    environ = {**os.environ, **(variables or {})}
    options: Any = {"name": name, "openvpn": openvpn, "tunnel": tunnel, "environ": environ, "mgmt": mgmt}
    found = read(find_topology(topology), vocabulary(), **options)
    remarks = (*found.remarks, *withheld(found, privileged))
    found = found.model_copy(update={"privileged": privileged, "remarks": remarks})
    return resolve(found, run_scripts=run_scripts)
