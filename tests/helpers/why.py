"""Expectations of causes: the one that is named, and that none is when everything is as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.topology import Family
from lab.tunnel import RunningTunnel
from lab.why.cause import Cause, Explanation
from lab.why.inner import Header, lost_in_tunnel
from lab.why.lost import why_down
from tests.helpers.sites import Site


def expect_down(lab: Lab, tunnel: RunningTunnel, kind: str) -> Cause:
    """Wait until a tunnel that is down has this one cause, with evidence."""
    found = wait_for(
        Expectation(
            what=f"{kind} to be the cause why {tunnel} is down",
            node=tunnel.tunnel.client,
            look=lambda: why_down(lab, tunnel),
            met=lambda found: found.found and found.causes[0].kind == kind,
            seen=lambda found: f"{[cause.kind for cause in found.causes]}: {found}",
            logs=tunnel.client.log,
        ),
        within=60,
    )
    (cause,) = found.causes
    assert cause.evidence
    assert cause.what.startswith((tunnel.tunnel.server, tunnel.tunnel.client, "transit"))
    assert cause.mend
    return cause


def expect_up(lab: Lab, tunnel: RunningTunnel) -> None:
    """Wait until a tunnel is connected, and nothing is found."""
    wait_for(
        Expectation(
            what=f"{tunnel} to be up, and no cause",
            node=tunnel.tunnel.client,
            look=lambda: why_down(lab, tunnel),
            met=lambda found: found == Explanation(),
            logs=tunnel.client.log,
        ),
        within=60,
    )
    tunnel.wait_connected()


def loss(lab: Lab, here: Site, there: Site, family: Family, size: int = 84) -> Explanation:
    """Return why packets between the hosts of two sites are lost in the tunnel between them."""
    tunnel = lab.tunnel(here.router.name, there.router.name)
    header = Header(here.host.address(family), there.host.address(family), size)
    return lost_in_tunnel(lab, tunnel, here.router.name, header)


def expect_loss(lab: Lab, here: Site, there: Site, family: Family, kind: str, size: int = 84) -> Cause:
    """Expect one cause of a loss, with evidence."""
    found = loss(lab, here, there, family, size)
    assert [cause.kind for cause in found.causes] == [kind], found
    (cause,) = found.causes
    assert cause.evidence
    assert cause.mend
    return cause


def expect_no_loss(lab: Lab, here: Site, there: Site, family: Family, size: int = 84) -> None:
    """Expect that the packets pass, and that no cause is named."""
    found = loss(lab, here, there, family, size)
    assert not found.causes, found
    assert found.apart.endswith("carries such packets now")


@contextmanager
def ran(node: LabNode, do: str, undo: str) -> Iterator[None]:
    """Run a command in a node on entry and another one on exit."""
    node.exec(*do.split()).raise_on_error()
    try:
        yield
    finally:
        node.exec(*undo.split()).raise_on_error()


@contextmanager
def dropping(node: LabNode, rule: str) -> Iterator[None]:
    """Have a node handle forwarded packets by a rule of nftables."""
    chain = "add chain inet why here { type filter hook forward priority 0; }"
    node.exec("nft", f"add table inet why; {chain}; add rule inet why here {rule}").raise_on_error()
    try:
        yield
    finally:
        node.exec("nft", "delete table inet why").raise_on_error()


def failure(expect: Callable[[], object]) -> str:
    """Return the message of an expectation that fails."""
    try:
        expect()
    except ExpectationFailed as error:
        return str(error)
    raise AssertionError("the expectation was met")
