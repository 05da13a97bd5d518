"""Point to point over TLS: the simplest way today, wherever each pair of sites may have a port of its own.

Without `mode server` OpenVPN keeps no inner routing table (openvpn(8), `--mode`): what the kernel sends into `tun`
comes out at the other end, and needs no `iroute`.
"""

from lab.tunnel.base import Mode
from lab.tunnel.mode import Traits
from lab.tunnel.options import TlsOptions


class PointToPointTls(Mode):
    """See the module."""

    name = "p2p-tls"
    summary = "tls-server and tls-client without mode server: two equal ends, certificates, no iroute"
    traits = Traits(mode_server=False)
    options = TlsOptions


MODE = PointToPointTls()
