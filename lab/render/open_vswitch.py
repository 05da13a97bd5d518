"""A bridge of Open vSwitch in its node: its ports are the node's interfaces."""

from collections.abc import Iterator, Sequence

_VSCTL = ("ovs-vsctl", "--retry", "--timeout=60")
"""The node's daemons may still be starting."""


def bridge_commands(name: str, ports: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the commands that make a bridge named after its node, forwarding in userspace.

    Not every kernel has Open vSwitch's module, and its bridges would be the host's and not the node's.
    """
    yield (*_VSCTL, "--may-exist", "add-br", name, "--", "set", "Bridge", name, "datapath_type=netdev")
    for port in ports:
        yield (*_VSCTL, "--may-exist", "add-port", name, port)
    yield ("ip", "link", "set", name, "up")
