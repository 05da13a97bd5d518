"""Waiting for the cause that lab why names: daemons and kernels notice a fault a moment later."""

from collections.abc import Callable

from lab.core.expect import Expectation, wait_for
from lab.why.cause import Explanation


def expect_cause(asked: str, look: Callable[[], Explanation], kind: str, *, node: str = "") -> Explanation:
    """Wait until the only cause is of a kind, and at `node` if that is given; `asked` is the node that is asked."""
    return wait_for(
        Expectation(
            what=f"the cause {kind}",
            node=asked,
            look=look,
            met=lambda found: [(c.kind, node and c.node) for c in found.causes] == [(kind, node)],
            seen=lambda found: f"{[(c.kind, c.node) for c in found.causes]}: {found}",
        ),
        within=40,
    )
