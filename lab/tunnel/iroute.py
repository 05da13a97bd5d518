"""The article's mode: a server process for one client, which is handed `iroute 0.0.0.0 0.0.0.0`.

OpenVPN in `mode server` drops what its inner routing table does not map to a client. A table that maps everything
to the only client passes everything, and the kernel's table alone decides (openvpn(8), `--iroute`).
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Network
from typing import Any, Literal

from pydantic import ValidationError

from lab.core.files import RenderedFile, templates
from lab.topology import Family, Prefix, TrafficClass, TunnelIntent
from lab.tunnel.base import Mode, Render
from lab.tunnel.mode import Identity, Process, Traits
from lab.tunnel.options import Seconds, ServerOptions

LINK_LOCAL = IPv6Network("fe80::/10")
"""RFC 4291, section 2.5.6."""


class Options(ServerOptions):
    """What `options` of a tunnel in this mode may say."""

    hand_out: Literal["client-connect", "client-config-dir"] = "client-connect"
    """How the client gets its `iroute`: from a script that runs when it connects, or from a file of its name."""
    iroute: tuple[Family, ...] = ("ipv4", "ipv6")
    """The families whose default route becomes an inner route; an empty list shows what happens without."""
    push_iroute: bool = False
    """Also `push "iroute 0.0.0.0 0.0.0.0"`, as the article does; the client rejects it."""
    topology: Literal["net30", "subnet"] = "net30"
    stale_routes_check: Seconds | None = None
    """Seconds after which the server forgets an inner route that nobody used; it forgets the one for everything too."""

    @property
    def inner_networks(self) -> tuple[Prefix, ...]:
        """Networks with an inner route besides the families of `iroute`."""
        return ()


class Iroute(Mode):
    """See the module."""

    name = "iroute"
    summary = "mode server for one client, with an inner route for everything: the article's recipe"
    traits = Traits(needs_iroute=True)
    options = Options
    handed_out = "iroute.handed-out.j2"
    """The template of what the client gets when it connects."""

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        """Link-local packets, where no inner route covers their addresses."""
        try:
            options = self.options.model_validate(dict(intent.options))
        except ValidationError:
            return {}  # said elsewhere: `check` has something against them
        assert isinstance(options, Options)
        inner = [network for network in options.inner_networks if isinstance(network, IPv6Network)]
        if "ipv6" in options.iroute or any(LINK_LOCAL.subnet_of(network) for network in inner):
            return {}
        return {
            "link-local": "without `iroute-ipv6 ::/0` the server drops what comes from a link-local address: give the "
            "option `iroute` both families"
        }

    def more(self, process: Process, options: Any, identity: Identity, render: Render) -> Sequence[RenderedFile]:
        """The server's script or file that hands out the inner route."""
        if process.end == "client":
            return []
        given = render(self.handed_out)
        if options.hand_out == "client-config-dir":
            return [RenderedFile(process.files / "clients" / identity.client.common_name, given)]
        script = templates("lab.tunnel").get_template("iroute.client-connect.sh.j2").render(given=given)
        return [RenderedFile(process.files / "client-connect", script, mode=0o755)]


MODE = Iroute()
