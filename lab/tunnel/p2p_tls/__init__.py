"""Point to point over TLS: the simplest mode today, if each pair of sites can have its own port.

Without `mode server` OpenVPN has no inner table (openvpn(8), `--mode`): every packet that the kernel sends into `tun`
comes out at the other end without `iroute`.
"""

from lab.tunnel.base import Mode
from lab.tunnel.mode import Traits, TunnelMode
from lab.tunnel.options import TlsOptions


class PointToPointTls(Mode):
    """The mode `p2p-tls`."""

    name = "p2p-tls"
    summary = "tls-server and tls-client without mode server: two equal ends, certificates, no iroute"
    traits = Traits(mode_server=False)
    options = TlsOptions


MODE: TunnelMode = PointToPointTls()
