"""What tests of the kernel's data channel share."""

from lab.runtime.lab import Lab
from lab.status.overview import tunnel_reports
from tests.helpers.sites import Site
from tests.helpers.tunnels import site

RATE = 20
"""Packets per second to each prefix: what emulated processors pass on, and count afterwards, while others wait."""


def expect_kernel(lab: Lab) -> None:
    """All data is carried by the kernel, as the devices of both ends say."""
    assert {tunnel.name: tunnel.channel for tunnel in tunnel_reports(lab)} == dict.fromkeys(lab.tunnels, "kernel")


def spokes(lab: Lab) -> tuple[Site, Site]:
    """Both spokes of the topology `dco-hub`."""
    one, other = (site(lab, lab.tunnel(name, "hub"), name) for name in ("spoke1", "spoke2"))
    return one, other
