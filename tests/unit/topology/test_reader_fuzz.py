"""Random input gives a topology or mistakes of one line each, never a traceback or a hang."""

import string
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lab.core.errors import InputError
from lab.topology import Topology, TopologyError, TunnelIntent, Vocabulary, dump, parse
from tests.helpers.trees import mutated, places

ARTICLE = (Path(__file__).parents[3] / "topologies" / "article.clab.yml").read_text()
TREE: Any = yaml.safe_load(ARTICLE)


def no_objection(intent: TunnelIntent) -> tuple[()]:
    return ()


VOCABULARY = Vocabulary(
    {"iroute": no_objection}, {"frr": lambda intent: ()}, ("2.6", "2.7"), "openvpn-routing-lab/node"
)

quick = settings(max_examples=75, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def outcome(text: str, environ: dict[str, str] | None = None, **arguments: Any) -> Topology | None:
    """Read a text, and check its mistakes or its dump."""
    try:
        topology = parse(text, Path("lab.yml"), VOCABULARY, environ=environ or {}, **arguments)
    except InputError as error:
        check(error)
        return None
    again = parse(dump(topology), topology.file, VOCABULARY, environ={})
    assert again.model_copy(update={"remarks": ()}) == topology.model_copy(update={"remarks": ()})
    return topology


def check(error: InputError) -> None:
    """Check that an error has one printable line per mistake."""
    lines = str(error).splitlines()
    assert all(line.startswith("lab.yml:") for line in lines)
    str(error).encode()
    assert isinstance(error, TopologyError)
    assert len(lines) == len(error.mistakes) > 0
    assert all(m.place.line >= 1 and m.place.column >= 1 for m in error.mistakes)


KEYS = [
    "name", "prefix", "topology", "nodes", "links", "kinds", "groups", "defaults", "kind", "group", "image", "env",
    "binds", "exec", "config", "vars", "router", "tunnels", "routes", "to", "via", "asn", "networks", "endpoints",
    "endpoint", "type", "node", "interface", "ipv4", "ipv6", "local", "peer", "mtu", "dns", "healthcheck", "tmpfs",
    "env-files", "options", "timers", "bfd", "linux", "bridge", "a", "hq", "branch", "<<",
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, -1, 65001, 1.5, 10**30, float("inf"), float("nan"), "", "linux", "bridge", "a", "hq",
    "hq:eth1", "branch:eth9", ":", "veth", "dummy", "10.0.0.1/24", "10.0.0.0/24", "10.255.0.0/16", "::1/128",
    "2001:db8::1/64", "fe80::1/64", "0.0.0.0/0", "::/0", "default", "none", "iroute", "frr", "2.6", "x:1", "a\nb",
    "${X}", "$$", "{{", "__clabNodeName__", "é", "\x85", "\u2028", "/etc:/x", "*", "a" * 200,
]  # fmt: skip

scalars = st.sampled_from(VALUES) | st.text(max_size=8) | st.integers() | st.floats()
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)


@quick
@given(st.text(max_size=200))
@example("\ufeff")
@example("a: !!int x")
@example("%YAML 9.9\n---\na")
@example("%TAG ! x\n---\na")
@example("? ? ?")
@example("&a &b c")
@example("'" * 7)
@example("%YAML 1." + "1" * 5000 + "\n---\n")
@example("a: " + "1" * 5000)
@example("\u2028: \u2029")
@example("name: &x *x")
@example("x: !<!> y")
@example("x: |99\n  y")
@example("--- !!%FF x")
def test_reader_of_random_text(text: str) -> None:
    outcome(text)


@quick
@given(st.text(alphabet=string.printable + "&*!|>'\"%@`{}[]:-?,#${}\t\n ", max_size=120))
def test_reader_of_random_punctuation(text: str) -> None:
    outcome(text, environ={"A": "{", "B": "- x\n- y"})


@quick
@given(st.integers(0, len(ARTICLE)), st.integers(0, 30), st.text(max_size=5))
def test_reader_of_article_with_random_edit(at: int, length: int, text: str) -> None:
    outcome(ARTICLE[:at] + text + ARTICLE[at + length :])


@quick
@given(trees)
def test_reader_of_random_tree(tree: Any) -> None:
    outcome(yaml.safe_dump(tree, allow_unicode=True))


@quick
@given(trees, trees, trees, trees)
def test_reader_of_random_nodes_and_links(defaults: Any, one: Any, other: Any, links: Any) -> None:
    topology = {"defaults": defaults, "nodes": {"n1": one, "n2": other}, "links": [links]}
    outcome(yaml.safe_dump({"name": "x", "topology": topology}, allow_unicode=True))


@quick
@given(st.dictionaries(st.sampled_from([*TunnelIntent.model_fields, "x"]), trees, max_size=4))
@example({"options": {"name": "\x85"}})  # a line end in YAML
def test_reader_with_random_override(tunnel: Any) -> None:
    outcome(ARTICLE, tunnel=tunnel)


PLACES = places(TREE)


mutations = st.tuples(st.sampled_from(PLACES), st.sampled_from(["drop", "rename", "replace"]), trees)


@settings(quick, max_examples=150)
@given(st.lists(mutations, min_size=1, max_size=3))
def test_reader_of_mutated_article(changes: list[tuple[Any, ...]]) -> None:
    tree = TREE
    for path, how, value in changes:
        tree = mutated(tree, path, how, value)
    outcome(yaml.safe_dump(tree, allow_unicode=True))


def test_reader_accepts_article_without_mutation() -> None:
    assert outcome(yaml.safe_dump(TREE)) is not None
