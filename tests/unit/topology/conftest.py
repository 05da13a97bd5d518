"""A reader with a small vocabulary, and small topologies."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.topology import Objection, Topology, TopologyError, TunnelIntent, Vocabulary, parse

FAMILY = "openvpn-routing-lab/node"


def object_to_iroute(intent: TunnelIntent) -> Sequence[Objection]:
    """Object to the option `wrong`, as a mode objects to an unknown option."""
    return [
        Objection(("options", key), f"the mode has no option {key!r}", "leave it out")
        for key in intent.options
        if key == "wrong"
    ]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    modes = {"iroute": object_to_iroute, "p2p": lambda intent: ()}
    daemons = {"frr": lambda intent: (), "bird": lambda intent: ()}
    return Vocabulary(modes, daemons, ("2.6", "2.7"), FAMILY, images=["openvpn-routing-lab/servers"])


@pytest.fixture(scope="session")
def load(vocabulary: Vocabulary) -> Callable[..., Topology]:
    """Return a function that reads a text as the file `lab.yml`."""

    def load(text: str, **arguments: Any) -> Topology:
        arguments.setdefault("environ", {})
        arguments.setdefault("file", Path("lab.yml"))
        return parse(text, vocabulary=vocabulary, **arguments)

    return load


@pytest.fixture(scope="session")
def refuse(load: Callable[..., Topology]) -> Callable[..., list[str]]:
    """Return a function that returns the mistakes in a text, one line each."""

    def refuse(text: str, **arguments: Any) -> list[str]:
        with pytest.raises(TopologyError) as caught:
            load(text, **arguments)
        lines = str(caught.value).split("\n")
        assert len(lines) == len(caught.value.mistakes), "each mistake is one line"
        return lines

    return refuse


@pytest.fixture(scope="session")
def two() -> Callable[..., str]:
    """Return a function that makes a topology of two linked nodes, with more keys for each, the link and the file.

    Node `a` is in line 4, `b` in line 5, their link in line 7; further links begin in line 8.
    """

    def two(a: str = "", b: str = "", link: str = "", links: str = "", top: str = "") -> str:
        def more(keys: str) -> str:
            return f", {keys}" if keys else ""

        link = link or "ipv4: [192.0.2.1/24, 192.0.2.2/24]"
        return (
            "name: two\n"
            "topology:\n"
            "  nodes:\n"
            f"    a: {{kind: linux, image: x:1, network-mode: none{more(a)}}}\n"
            f"    b: {{kind: linux, image: x:1, network-mode: none{more(b)}}}\n"
            "  links:\n"
            f'    - {{endpoints: ["a:eth1", "b:eth1"], {link}}}\n'
            f"{links}{top}"
        )

    return two
