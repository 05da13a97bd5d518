"""Small labs with unique names."""

import itertools
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyroute2 import IPRoute

from lab.catalogue import load
from lab.core.progress import quiet
from lab.engine import Engine, Instance, NodeSpec
from lab.runtime.lab import Lab
from lab.runtime.registry import running_labs
from lab.topology import Node, Topology

IMAGE = "openvpn-routing-lab/node:2.6"
PAIR = """
    nodes: {one: {}, two: {}}
    links:
      - endpoints: ["one:eth1", "two:eth1"]
        ipv4: [192.0.2.1/30, 192.0.2.2/30]
        ipv6: ["2001:db8:9::1/64", "2001:db8:9::2/64"]
"""
"""The smallest lab in which one node can reach another."""

_counter = itertools.count(1)

Write = Callable[..., Topology]
Deploy = Callable[..., Lab]


def new_name() -> str:
    """Return a lab name that no other test and no other run uses."""
    return f"life-{os.getpid()}-{next(_counter)}"


def topology(directory: Path, name: str, body: str) -> Topology:
    """Write and load a topology with the lab's own image from the text below `topology:`."""
    file = directory / f"{name}.clab.yml"
    head = f"name: {name}\ntopology:\n  defaults: {{kind: linux, image: {IMAGE}}}\n"
    head += "  kinds: {linux: {network-mode: none}}\n"
    file.write_text(head + textwrap.indent(textwrap.dedent(body), "  "))
    return load(file)


@contextmanager
def bystander(engine: Engine, container: str) -> Iterator[Instance]:
    """Run a container of no lab that the tests know, under a name."""
    node = Node(name="bystander", kind="linux", image=engine.provide(IMAGE, quiet))
    running = engine.launch(NodeSpec(lab=f"{container}-lab", node=node, container=container, directory=Path("/none")))
    try:
        yield running
    finally:
        engine.destroy([running])


def assert_nothing_left(name: str, engine: Engine, directory: Path) -> None:
    """Assert that no container and no directory of a lab is left."""
    assert engine.find(name) == []
    assert name not in running_labs(engine)
    assert not directory.exists()


def host_interface(name: str) -> str:
    """Return the name of an interface that a test puts into the host's network namespace, unlike any other test's."""
    return f"{name}-{os.getpid()}"


def of_another(interface: str) -> bool:
    """Return True for an interface of Docker's, or of a test that runs at the same time."""
    if re.fullmatch(r"br-[0-9a-f]{12}|veth[0-9a-f]{7}|clab-[0-9a-f]+", interface):
        return True
    _, _, process = interface.rpartition("-")
    return process.isdigit() and int(process) != os.getpid()


def names_of_host() -> set[str]:
    """Return the interfaces in the host's network namespace, but Docker's and other tests'."""
    with IPRoute() as ip:
        names = {link.get_attr("IFLA_IFNAME") for link in ip.get_links()}
    return {name for name in names if not of_another(name)}
