"""The two sites of the topology `article`: fixtures `hq`, `branch` and `direction`, for tests of all folders."""

from dataclasses import dataclass

import pytest

from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.runtime.router import Router
from lab.topology import Prefix


@dataclass(frozen=True)
class Site:
    """A router and the host behind it."""

    router: Router
    host: LabNode
    device: str
    """The router's tunnel interface."""


@pytest.fixture
def hq(lab: Lab) -> Site:
    """The site with the OpenVPN server."""
    return Site(lab.router("hq"), lab.host("hq-lan"), lab.tunnel("branch", "hq").device("hq"))


@pytest.fixture
def branch(lab: Lab) -> Site:
    """The site with the OpenVPN client."""
    return Site(lab.router("branch"), lab.host("branch-lan"), lab.tunnel("branch", "hq").device("branch"))


@pytest.fixture(params=["from-server", "from-client"])
def direction(request: pytest.FixtureRequest, hq: Site, branch: Site) -> tuple[Site, Site]:
    """The announcing and the learning site, for a test in both directions."""
    return (hq, branch) if request.param == "from-server" else (branch, hq)


def networks(site: Site) -> tuple[Prefix, ...]:
    """Return the prefixes that a site's router announces by its configuration."""
    return site.router.plan.networks
