"""Every key of containerlab 0.79 by its place: accepted with containerlab's meaning, noted, or refused in one line.

The keys are those of containerlab's types (`types/`, `links/`), which its schema has but for a few.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from lab.topology import Topology, TopologyError

Load = Callable[..., Topology]

DATA = Path(__file__).parents[2] / "data"
SCHEMA: Mapping[str, Any] = json.loads((DATA / "clab.schema.json").read_text())


class Seen(NamedTuple):
    """A key with a value, and what the lab says of it."""

    value: Any
    noted: str = ""
    """Words of the note; empty if there is none."""
    refused: str = ""
    """Words of the one mistake; empty if the key is accepted."""


INERT = "has no effect: nodes of this kind do not read it"

NODE: Mapping[str, Seen] = {
    "aliases": Seen(["web"]),
    "auto-remove": Seen(value=True, noted="has no effect: the lab keeps a node that died"),
    "binds": Seen(["file:/file:ro"]),
    "cap-add": Seen(["SYS_TIME"]),
    "certificate": Seen({"issue": True}),
    "cgroup-parent": Seen("labs.slice", noted="stays when the lab is taken down"),
    "cgroupns-mode": Seen("private"),
    "cmd": Seen("sleep infinity"),
    "components": Seen([{"slot": "A", "type": "cpm"}], noted=INERT),
    "config": Seen({"vars": {"site": 1}}),
    "cpu": Seen(0.5),
    "cpu-set": Seen("0-1"),
    "credentials": Seen({"username": "operator"}),
    "devices": Seen(["/dev/fuse"]),
    "dns": Seen({"servers": ["192.0.2.53"]}),
    "enforce-startup-config": Seen(value=True, noted=INERT),
    "entrypoint": Seen("tini --"),
    "env": Seen({"A": "b"}),
    "env-files": Seen(["file"]),
    "exec": Seen(["ip link"]),
    "extras": Seen({"ceos-copy-to-flash": ["file"]}, noted=INERT),
    "group": Seen("leaf"),
    "healthcheck": Seen({"test": ["CMD", "true"]}),
    "hostname": Seen("host.example"),
    "image": Seen("x:2"),
    "image-pull-policy": Seen("Never"),
    "kind": Seen("linux"),
    "labels": Seen({"a": "b"}),
    "license": Seen("file", noted=INERT),
    "link-apply-mode": Seen("restart", noted="has no effect: a running lab is not changed"),
    "memory": Seen("512MB"),
    "mgmt-ipv4": Seen("172.20.20.9"),
    "mgmt-ipv6": Seen("3fff:172:20:20::9"),
    "network-mode": Seen("none"),
    "password": Seen("secret"),
    "pid-mode": Seen("container:other"),
    "ports": Seen(["8080:80"]),
    "position": Seen("left", noted="has no effect: the lab's graph has a layout of its own"),
    "privileged": Seen(value=True),
    "restart-policy": Seen("no"),
    "runtime": Seen("docker"),
    "security-opts": Seen(["no-new-privileges"]),
    "shm-size": Seen("64MB"),
    "stages": Seen({"configure": {"exec": [{"command": "true"}]}}),
    "startup-config": Seen("file", noted=INERT),
    "startup-delay": Seen(5),
    "suppress-startup-config": Seen(value=True, noted=INERT),
    "sysctls": Seen({"net.ipv4.ip_forward": "1"}),
    "tmpfs": Seen({"/run": ""}),
    "type": Seen("ixrd2", noted=INERT),
    "user": Seen("nobody"),
    "username": Seen("operator"),
    "volumes": Seen(["/data"]),
}
CERTIFICATE = {
    "issue": Seen(value=True),
    "key-size": Seen(4096),
    "sans": Seen(["web.example"]),
    "validity-duration": Seen("720h"),
}
HEALTHCHECK = {key: Seen(5) for key in ("interval", "retries", "start-period", "timeout")} | {
    "test": Seen(["CMD", "true"])
}
DNS = {"options": Seen(["ndots:1"]), "search": Seen(["example"]), "servers": Seen(["192.0.2.53"])}
CREDENTIALS = {key: Seen("x") for key in ("identity-file", "password", "username")}
EXEC = {"command": Seen("true"), "phase": Seen("on-exit"), "target": Seen("host", noted="runs no command on this host")}
STAGE = {"exec": Seen([{"command": "true"}]), "wait-for": Seen([{"node": "b", "stage": "create"}])}
STAGES = {
    stage: Seen(STAGE["exec"].value and {}) for stage in ("create", "create-links", "configure", "healthy", "exit")
}
MGMT = {
    "bridge": Seen("br-lab"),
    "driver-opts": Seen({"com.docker.network.driver.mtu": "1400"}),
    "external-access": Seen(value=True, noted="has no effect: the lab does not open the host's firewall"),
    "ipv4-gw": Seen("172.20.20.254"),
    "ipv4-range": Seen("172.20.20.128/25"),
    "ipv4-subnet": Seen("172.20.20.0/24"),
    "ipv6-gw": Seen("3fff:172:20:20::ff"),
    "ipv6-range": Seen("3fff:172:20:20:8000::/65"),
    "ipv6-subnet": Seen("3fff:172:20:20::/64"),
    "mtu": Seen(1400),
    "network": Seen("labs"),
    "skip-when-unused": Seen(value=True),
}
AUTHORITY = {
    "cert": Seen("file", noted="has no effect without 'key'"),
    "key": Seen("file", noted="has no effect without 'cert'"),
    "key-size": Seen(4096),
    "validity-duration": Seen("720h"),
}
TOP = {
    "name": Seen("other"),
    "prefix": Seen("mine"),
    "mgmt": Seen({}),
    "settings": Seen({}),
    "debug": Seen(value=True, noted="has no effect: the lab has no log level"),
}
TOPOLOGY = {
    "defaults": Seen({"kind": "linux"}),
    "groups": Seen({"leaf": {"cpu": 1}}),
    "kinds": Seen({"nokia_srlinux": {"image": "srl"}}),
    "links": Seen([]),
    "nodes": Seen({"a": {"kind": "linux", "image": "x", "network-mode": "none"}}),
}
ENDPOINT = {
    "interface": Seen("eth9"),
    "ipv4": Seen("192.0.2.1/24"),
    "ipv6": Seen("2001:db8::1/64"),
    "mac": Seen("02:00:00:00:00:01"),
    "node": Seen("a"),
    "vars": Seen({"port": 1}),
}
EACH = "has no effect: with a type each endpoint has its own"
UNUSED = {key: Seen(["192.0.2.1/24"], noted=EACH) for key in ("ipv4", "ipv6")}
COMMON = {"labels": Seen({"a": "b"}), "mtu": Seen(1500), "vars": Seen({"cost": 10})}
ONE = {"endpoint": Seen({"node": "a", "interface": "eth1"})}
TWO = {"endpoints": Seen([{"node": "a", "interface": "eth1"}, {"node": "b", "interface": "eth1"}])}
HOST = {**COMMON, **ONE, "host-interface": Seen("port1")}
VXLAN = {
    **COMMON,
    **ONE,
    "dst-port": Seen(4789),
    "parent-interface": Seen("lo"),
    "remote": Seen("192.0.2.9"),
    "src-port": Seen(5000),
    "udp-port": Seen(4789),
    "vni": Seen(100),
}
LINKS: Mapping[str, Mapping[str, Seen]] = {
    "": {
        **COMMON,
        "endpoints": Seen(["a:eth1", "b:eth1"]),
        "ipv4": Seen(["192.0.2.1/24", "192.0.2.2/24"]),
        "ipv6": Seen(["2001:db8::1/64"]),
    },
    "veth": {**COMMON, **TWO, **UNUSED},
    "veth-stitch": {**COMMON, **TWO},
    "dummy": {**COMMON, **ONE},
    "host": HOST,
    "mgmt-net": HOST,
    "macvlan": {**HOST, "mode": Seen("private")},
    "vxlan": VXLAN,
    "vxlan-stitch": VXLAN,
}
NEEDED = ("endpoint", "endpoints", "host-interface", "remote", "vni")
"""The keys without which a link is none."""
_CONTEXT = {
    "ipv4-gw": "ipv4-subnet",
    "ipv4-range": "ipv4-subnet",
    "ipv6-gw": "ipv6-subnet",
    "ipv6-range": "ipv6-subnet",
}


def _file(node: Mapping[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    base = {"kind": "linux", "image": "x:1"}
    mode = {} if {"aliases", "mgmt-ipv4", "mgmt-ipv6", "ports"} & set(node or {}) else {"network-mode": "none"}
    nodes = {"a": {**base, **mode, **(node or {})}, "b": {**base, "network-mode": "none"}}
    data: dict[str, Any] = {"name": "x", "topology": {"nodes": nodes}, **top}
    return data


def _link(kind: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    needed = {key: seen.value for key, seen in LINKS[kind].items() if key in NEEDED}
    link = {**({"type": kind} if kind else {}), **needed, **keys}
    data = _file()
    data["topology"]["links"] = [link]
    return data


def every_key() -> Iterator[tuple[str, dict[str, Any], Seen]]:
    """Yield the path of each key, a file with it, and what the lab says of it."""
    for key, seen in NODE.items():
        yield f"node.{key}", _file({key: seen.value}), seen
    inside = {"certificate": CERTIFICATE, "healthcheck": HEALTHCHECK, "dns": DNS, "credentials": CREDENTIALS}
    for outer, keys in {**inside, "stages": STAGES}.items():
        for key, seen in keys.items():
            yield f"node.{outer}.{key}", _file({outer: {key: seen.value}}), seen
    for key, seen in STAGE.items():
        yield f"stage.{key}", _file({"stages": {"configure": {key: seen.value}}}), seen
    for key, seen in EXEC.items():
        command = {"command": "true", key: seen.value}
        yield f"stage.exec.{key}", _file({"stages": {"configure": {"exec": [command]}}}), seen
    for key, seen in MGMT.items():
        context = {_CONTEXT[key]: MGMT[_CONTEXT[key]].value} if key in _CONTEXT else {}
        yield f"mgmt.{key}", _file(mgmt={**context, key: seen.value}), seen
    for key, seen in AUTHORITY.items():
        yield f"settings.{key}", _file(settings={"certificate-authority": {key: seen.value}}), seen
    for key, seen in TOP.items():
        yield key, _file(**{key: seen.value}), seen
    for key, seen in TOPOLOGY.items():
        data = _file()
        data["topology"][key] = seen.value
        yield f"topology.{key}", data, seen
    for kind, table in LINKS.items():
        for key, seen in table.items():
            yield f"link[{kind}].{key}", _link(kind, {key: seen.value}), seen
    for key, seen in ENDPOINT.items():
        ends = [{"node": "a", "interface": "eth1", key: seen.value}, {"node": "b", "interface": "eth1"}]
        yield f"endpoint.{key}", _link("veth", {"endpoints": ends}), seen


ALL = list(every_key())


@pytest.mark.parametrize(("data", "seen"), [each[1:] for each in ALL], ids=[each[0] for each in ALL])
def test_key_is_accepted_noted_or_refused_by_name(load: Load, tmp_path: Path, data: dict[str, Any], seen: Seen) -> None:
    (tmp_path / "file").touch()
    text = yaml.safe_dump(data, sort_keys=False)
    try:
        topology = load(text, file=tmp_path / "lab.yml")
    except TopologyError as error:
        (mistake,) = error.mistakes
        assert seen.refused
        assert seen.refused in str(mistake)
        return
    assert not seen.refused
    notes = [remark.what for remark in topology.remarks if remark.kind == "note"]
    expected = [note for note in notes if seen.noted and seen.noted in note]
    assert len(expected) == bool(seen.noted), notes
    others = [note for note in notes if note not in expected]
    assert not others or all("in containerlab's management network" in note for note in others)


def properties(*path: str) -> set[str]:
    found: Any = SCHEMA
    for step in path:
        found = found[step]
    return set(found["properties"])


def of(definition: str) -> set[str]:
    return properties("definitions", definition)


@pytest.mark.parametrize(
    ("table", "known", "also"),
    [
        (NODE, of("node-config"), {"position", "username", "password"}),
        (CERTIFICATE, of("certificate-config"), set()),
        (HEALTHCHECK, of("healthcheck-config"), set()),
        (DNS, of("dns-config"), set()),
        (STAGES, of("stages-config"), set()),
        (AUTHORITY, of("certificate-authority-config"), set()),
        (MGMT, properties("properties", "mgmt"), set()),
        (ENDPOINT, of("link-endpoint"), set()),
        (TOPOLOGY, properties("properties", "topology"), set()),
        ({**TOP, "topology": None}, set(SCHEMA["properties"]), set()),
        (LINKS[""], of("link-config-short"), {"labels"}),
        *((LINKS[kind], of(f"link-type-{kind}") - {"type"}, set()) for kind in ("veth", "dummy", "host", "mgmt-net")),
        (LINKS["veth-stitch"], of("link-type-veth-stitched") - {"type"}, set()),
        (LINKS["macvlan"], of("link-type-macvlan") - {"type"}, set()),
        (LINKS["vxlan"], of("link-type-vxlan") - {"type"}, {"parent-interface", "udp-port"}),
        (LINKS["vxlan-stitch"], of("link-type-vxlan-stitched") - {"type"}, {"parent-interface", "udp-port"}),
    ],
)
def test_tables_have_every_key_of_the_schema(table: Mapping[str, Seen], known: set[str], also: set[str]) -> None:
    """`also` are keys of the source that the schema lacks."""
    assert set(table) == known | also
