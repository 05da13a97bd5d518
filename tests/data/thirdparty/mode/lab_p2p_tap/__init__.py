"""Point to point over TLS with `dev tap`: an Ethernet between two ends, without a switch in OpenVPN."""

from pydantic import Field

from lab.tunnel import TunnelMode
from lab.tunnel.base import Mode
from lab.tunnel.mode import Traits
from lab.tunnel.options import TlsOptions


class Options(TlsOptions):
    """The options of a tunnel in this mode."""

    replay_window: int = Field(64, ge=0, le=32767)
    """The number of packets that may arrive late (openvpn(8), `--replay-window`)."""


class PointToPointTap(Mode):
    """The mode `p2p-tap`."""

    name = "p2p-tap"
    summary = "tls-server and tls-client with dev tap: an Ethernet between two equal ends, no iroute"
    traits = Traits(device="tap", mode_server=False)
    options = Options


MODE: TunnelMode = PointToPointTap()
