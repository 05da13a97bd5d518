"""Inheritance as in containerlab (types/topology.go of v0.79.0), one case per rule."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lab.topology import Node, Topology
from lab.topology.model import Credentials

Load = Callable[..., Topology]
Refuse = Callable[..., list[str]]


def levels(key: str, *, defaults: str = "", kind: str = "", group: str = "", node: str = "") -> str:
    """Return a file in which each level may set one key."""

    def setting(value: str) -> str:
        return f", {key}: {value}" if value else ""

    return (
        "name: levels\n"
        "topology:\n"
        f"  defaults: {{kind: linux, image: x{setting(defaults)}}}\n"
        f"  kinds: {{linux: {{user: k{setting(kind)}}}}}\n"
        f"  groups: {{g: {{hostname: h{setting(group)}}}}}\n"
        f"  nodes: {{n1: {{group: g{setting(node)}}}}}\n"
    )


def value_of(load: Load, key: str, **values: str) -> Any:
    node: Node = load(levels(key, **values)).nodes["n1"]
    return getattr(node, key.replace("-", "_"))


@pytest.mark.parametrize(
    "key", ["cmd", "entrypoint", "memory", "cpu-set", "shm-size", "image-pull-policy", "startup-delay", "cpu"]
)
def test_nearest_single_value_wins(load: Load, key: str) -> None:
    texts = {
        "memory": ["10MB", "20MB", "30MB", "40MB"],
        "shm-size": ["1MB", "2MB", "3MB", "4MB"],
        "image-pull-policy": ["Never", "Always", "Never", "Always"],
    }.get(key, ["1", "2", "3", "4"])
    given = dict(zip(("defaults", "kind", "group", "node"), texts, strict=True))
    for level in ("node", "group", "kind", "defaults"):
        value = value_of(load, key, **given)
        assert str(value).removesuffix(".0") == given[level]
        del given[level]


def test_empty_text_and_zero_count_as_not_set(load: Load) -> None:
    assert value_of(load, "cmd", defaults="run", node='""') == "run"
    assert value_of(load, "startup-delay", defaults="5", node="0") == 5
    assert value_of(load, "cpu", group="0.5", node="0") == 0.5
    assert value_of(load, "memory", kind="10MB", node="null") == "10MB"


def test_user_zero_counts_as_set(load: Load) -> None:
    assert load(levels("user", node="0")).nodes["n1"].user == "0"


@pytest.mark.parametrize("key", ["env", "labels", "sysctls"])
def test_maps_are_merged_key_by_key(load: Load, key: str) -> None:
    value = value_of(
        load,
        key,
        defaults="{a: 1, b: 1, c: 1, d: 1}",
        kind="{b: 2, c: 2, d: 2}",
        group="{c: 3, d: 3}",
        node="{d: 4}",
    )
    assert dict(value) == {"a": "1", "b": "2", "c": "3", "d": "4"}


@pytest.mark.parametrize(
    ("key", "items"),
    [
        ("exec", "abcde"),
        ("cap-add", ["KILL", "BPF", "MKNOD", "LEASE", "SYSLOG"]),
        ("devices", ["/dev/a", "/dev/b", "/dev/c", "/dev/d", "/dev/e"]),
        ("security-opts", ["label=a", "label=b", "label=c", "label=d", "label=e"]),
    ],
)
def test_lists_are_joined_from_the_farthest_without_duplicates(load: Load, key: str, items: Sequence[str]) -> None:
    a, b, c, d, e = items
    value = value_of(load, key, defaults=f"[{a}, {b}]", kind=f"[{c}, {a}]", group=f"[{d}]", node=f"[{b}, {e}]")
    assert value == (a, b, c, d, e)


def test_nearer_bind_replaces_one_with_the_same_destination(load: Load) -> None:
    value = value_of(load, "binds", defaults="['/etc:/x', '/usr:/y']", node="['/bin:/x:ro']")
    assert value == ("/bin:/x:ro", "/usr:/y")


def test_dns_and_healthcheck_are_inherited_as_a_whole(load: Load) -> None:
    dns = value_of(load, "dns", defaults="{servers: [192.0.2.1]}", node="{search: [example.com]}")
    assert (dns.servers, dns.search) == ((), ("example.com",))
    check = value_of(load, "healthcheck", kind="{retries: 3}", group="{interval: 2}")
    assert (check.retries, check.interval) == (None, 2)


def test_config_vars_are_merged_at_any_depth_and_lists_replaced(load: Load) -> None:
    topology = load(
        levels(
            "config",
            defaults="{vars: {router: {asn: 1, networks: [10.0.0.0/8], timers: {hold: 9}}}}",
            group="{vars: {router: {timers: {connect: 7}}}}",
            node="{vars: {router: {asn: 4, networks: [10.4.0.0/16]}}}",
        )
    )
    router = topology.nodes["n1"].intent.router
    assert router is not None
    assert (router.asn, router.timers.hold, router.timers.connect) == (4, 9, 7)
    assert [str(network) for network in router.networks] == ["10.4.0.0/16"]


def test_key_without_value_removes_an_inherited_mapping(load: Load) -> None:
    text = levels("config", defaults="{vars: {router: {asn: 1}}}", node="{vars: {router: }}")
    assert load(text).nodes["n1"].intent.router is None


def test_kind_and_group_are_inherited_from_each_other(load: Load) -> None:
    topology = load(
        "name: x\n"
        "topology:\n"
        "  kinds: {linux: {image: x, group: g2}}\n"
        "  groups: {g1: {kind: linux, cmd: one}, g2: {cmd: two}, g3: {kind: BRIDGE}}\n"
        "  nodes: {n1: {group: g1}, n2: {kind: linux}, n3: {group: g3}}\n"
    )
    assert [(n.kind, n.group, n.cmd) for n in topology.nodes.values()] == [
        ("linux", "g1", "one"),
        ("linux", "g2", "two"),
        ("bridge", "g3", None),
    ]


def test_definition_of_a_kind_is_found_by_the_node_s_spelling(load: Load, refuse: Refuse) -> None:
    """containerlab ignores case in a node's kind, but not when it looks for the kind's definition."""
    text = "name: x\ntopology:\n  kinds: {%s: {image: x}}\n  nodes: {n: {kind: Linux, network-mode: none}}\n"
    assert load(text % "Linux").nodes["n"].image == "x"
    (line,) = refuse(text % "linux")
    assert "the node has no image" in line


def test_kind_of_the_default_group_precedes_the_default_kind(load: Load) -> None:
    topology = load(
        "name: x\n"
        "topology:\n"
        "  defaults: {kind: linux, group: g, image: x}\n"
        "  groups: {g: {kind: bridge}}\n"
        "  nodes: {n1: , n2: {kind: linux}}\n"
    )
    assert [node.kind for node in topology.nodes.values()] == ["bridge", "linux"]


def test_bridge_ignores_inherited_container_keys_and_notes_its_own(load: Load) -> None:
    text = "name: x\ntopology:\n  defaults: {image: x, cmd: y, labels: {a: b}}\n  nodes: {br: {kind: bridge%s}}\n"
    bridge = load(text % "").nodes["br"]
    assert (bridge.image, bridge.cmd, dict(bridge.labels)) == (None, None, {"a": "b"})
    assert load(text % "").remarks == ()
    noted = load(text % ", image: z")
    assert noted.nodes["br"].image is None
    assert [remark.what for remark in noted.remarks] == ["'image' has no effect: a bridge is not a container"]


def test_merge_keys_and_anchors(load: Load) -> None:
    topology = load(
        "name: x\n"
        "topology:\n"
        "  defaults: &d {kind: linux, image: x, env: &e {A: 1}}\n"
        "  nodes:\n"
        "    n1: {<<: *d, env: {<<: *e, B: 2}, cmd: own}\n"
    )
    node = topology.nodes["n1"]
    assert (node.image, node.cmd, dict(node.env)) == ("x", "own", {"A": "1", "B": "2"})


def test_env_takes_precedence_over_env_files(load: Load, tmp_path: Any) -> None:
    (tmp_path / "site.env").write_text("# site\nexport A=1\nB='$A'\nC=\"${A}\\n\" # a comment\nD = ${A}x # y\n")
    text = "name: x\ntopology: {nodes: {n1: {kind: linux, image: x, env-files: [site.env], env: {A: 2}}}}\n"
    node = load(text, file=tmp_path / "lab.yml").nodes["n1"]
    assert dict(node.env) == {"A": "2", "B": "$A", "C": "1\n", "D": "1x"}


def test_login_is_the_nearest_pair(load: Load) -> None:
    text = """
    name: x
    topology:
      defaults: {kind: linux, image: x, network-mode: none, username: of-all, password: of-all}
      groups: {g: {credentials: {username: of-group, identity-file: group.key}}}
      nodes:
        a: {group: g}
        b: {group: g, username: older, credentials: {username: newer}}
        c: {credentials: {password: ""}}
    """
    found = {name: node.credentials for name, node in load(text).nodes.items()}
    assert found == {
        "a": Credentials(username="of-group", identity_file="group.key"),
        "b": Credentials(username="newer", identity_file="group.key"),
        "c": Credentials(username="of-all", password="of-all"),
    }


@pytest.mark.parametrize(("key", "value"), [("aliases", "[web]"), ("mgmt-ipv4", "172.20.20.9")])
def test_key_of_a_node_alone_is_not_inherited(load: Load, key: str, value: str) -> None:
    text = f"name: x\ntopology:\n  defaults: {{kind: linux, image: x, {key}: {value}}}\n  nodes: {{a: , b: }}\n"
    topology = load(text)
    assert topology.management is None
    notes = [remark.what for remark in topology.remarks]
    assert f"{key!r} has no effect here: no node inherits it" in notes
