"""The article's mode: a server process for one client, with `iroute 0.0.0.0 0.0.0.0` for that client.

OpenVPN in `mode server` drops packets that its inner table does not map to a client. With an entry for everything it
forwards everything to its only client, so that the kernel's routes alone decide (openvpn(8), `--iroute`).
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Network
from typing import Any, Literal

from pydantic import ValidationError

from lab.core.files import RenderedFile
from lab.core.prefixes import FAMILIES
from lab.topology import Family, Prefix, TrafficClass, TunnelIntent
from lab.tunnel.base import Mode, Render
from lab.tunnel.mode import Identity, Process, Traits, TunnelMode
from lab.tunnel.options import Seconds, ServerOptions

LINK_LOCAL = IPv6Network("fe80::/10")
"""RFC 4291, section 2.5.6."""


class Options(ServerOptions):
    """The options of a tunnel in this mode."""

    hand_out: Literal["client-connect", "client-config-dir"] = "client-connect"
    """The source of the client's `iroute`: a script that runs when it connects, or a file named after it."""
    iroute: tuple[Family, ...] = FAMILIES
    """The families whose default route becomes an `iroute`; an empty list shows what happens without."""
    push_iroute: bool = False
    """Push `iroute 0.0.0.0 0.0.0.0` as well, as the article does; the client rejects it."""
    topology: Literal["net30", "subnet"] = "net30"
    """The addresses that the server hands out: a pair for the client, or one of a subnet."""
    stale_routes_check: Seconds | None = None
    """Seconds after which the server removes an unused route from its inner table, also the one for everything."""

    @property
    def inner_networks(self) -> tuple[Prefix, ...]:
        """Networks with an `iroute` besides the families of the option `iroute`."""
        return ()


class Iroute(Mode):
    """The mode `iroute`."""

    name = "iroute"
    summary = "mode server for one client, with an inner route for everything: the article's recipe"
    traits = Traits(needs_iroute=True, net30=True, foreign_client=True)
    options = Options
    client_template = "handed-out.j2"
    """The template of the settings that the client gets when it connects."""

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """Return link-local packets, if no `iroute` covers their addresses."""
        try:
            options = self.options.model_validate(dict(intent.options))
        except ValidationError:
            return {}  # `check` reports them
        assert isinstance(options, Options)
        inner = [network for network in options.inner_networks if isinstance(network, IPv6Network)]
        if "ipv6" in options.iroute or any(LINK_LOCAL.subnet_of(network) for network in inner):
            return {}
        return {
            "link-local": "without `iroute-ipv6 ::/0` the server drops packets from a link-local address: give the "
            "option `iroute` both families"
        }

    def mode_files(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """Render the server's script or file that hands out the `iroute`."""
        if process.end == "client":
            return []
        given = render(self.client_template)
        if options.hand_out == "client-config-dir":
            return [RenderedFile(process.files / "clients" / identity.client.common_name, given)]
        script = self.templates.get_template("client-connect.sh.j2").render(given=given)
        return [RenderedFile(process.files / "client-connect", script, mode=0o755)]


MODE: TunnelMode = Iroute()
