"""Helpers for tests of DCO."""

from lab.runtime.lab import Lab
from lab.status.overview import tunnel_reports
from tests.helpers.sites import Site
from tests.helpers.tunnels import site

RATE = 20
"""Packets per second to each prefix, low enough for emulated processors."""


def expect_kernel(lab: Lab) -> None:
    """Check by the devices of both ends that the kernel forwards all data."""
    assert {tunnel.name: tunnel.channel for tunnel in tunnel_reports(lab)} == dict.fromkeys(lab.tunnels, "kernel")


def spokes(lab: Lab) -> tuple[Site, Site]:
    """Return both spokes of the topology `dco-hub`."""
    one, other = (site(lab, lab.tunnel(name, "hub"), name) for name in ("spoke1", "spoke2"))
    return one, other
