"""The mode of tunnels that run with files of the user's: nothing to check and nothing to render."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from lab.core.errors import InputError
from lab.core.files import RenderedFile
from lab.topology import Objection, TrafficClass, Tunnel, TunnelIntent
from lab.tunnel.mode import End, Identity, Traits, TunnelMode, modes

SERVER = "own"
"""The mode of a tunnel between a server in `mode server` and a client that pulls."""
PEERS = "own-p2p"
"""The mode of a tunnel between two peers."""


@dataclass(frozen=True)
class OwnFiles:
    """A tunnel between two processes of the user's. No topology can choose it as a mode.

    Its traits are those that the files tell; what passes through the tunnel they do not.
    """

    name: str
    traits: Traits
    summary: str = "OpenVPN with configuration files of the user's"

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """Object to nothing: OpenVPN itself checks its files."""
        return []

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """Rule out nothing: it is not known."""
        return {}

    def render(self, tunnel: Tunnel, identity: Identity) -> Mapping[End, Sequence[RenderedFile]]:
        """Refuse: the user's files are not rendered."""
        refuse(tunnel, "rendered")

    def static_options(self, server_networks: Sequence[str], client_networks: Sequence[str]) -> Mapping[str, Any]:
        """Return no options."""
        return {}


def refuse(tunnel: Tunnel, what: str) -> NoReturn:
    """Raise `InputError`: the lab cannot do this with files of the user's."""
    raise InputError(
        f"the tunnel {tunnel.name} runs with your own files, which cannot be {what}: change the files, or append "
        "options with `extended`"
    )


def mode_of(tunnel: Tunnel) -> TunnelMode:
    """Return the mode of a tunnel."""
    if not tunnel.own:
        return modes()[tunnel.mode]
    return OwnFiles(
        tunnel.mode,
        Traits(
            device="tap" if tunnel.options.get("dev-type") == "tap" else "tun",
            mode_server=tunnel.mode == SERVER,
            clients_per_process=None,
            certificates=tunnel.options.get("certificates", True) is True,
        ),
    )
