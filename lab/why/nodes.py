"""Why nothing in a node answers: the node is paused, stopped or gone."""

from lab.engine import NodeState
from lab.runtime.lab import Lab
from lab.why.cause import Cause, Observation


def node_stopped(lab: Lab, node: str) -> Cause | None:
    """Return the cause that a node does not run; None if it does."""
    instance = lab.nodes.get(node)
    state = instance.state if instance else NodeState.ABSENT
    if state is NodeState.RUNNING:
        return None
    mend = "resume it: `lab fault list` has the faults in force" if state is NodeState.PAUSED else "start the lab again"
    return Cause(
        "node-stopped", node, f"{node} is {state}", mend, (Observation(node, "engine", f"the node is {state}"),)
    )
