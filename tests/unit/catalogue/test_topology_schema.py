"""The JSON Schema of topology files: it accepts what the reader accepts, and refuses typical mistakes."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from lab.catalogue import topology_schema, vocabulary
from lab.catalogue.json_schema import docstrings
from lab.core.errors import InputError
from lab.topology import RouterIntent, TunnelIntent, parse
from lab.topology.envsubst import expand, verbatim
from lab.topology.keys import NODE_KEYS
from lab.topology.mistakes import Findings
from lab.topology.source import compose, plain
from lab.tunnel import modes
from lab.tunnel.options import ServerOptions
from tests.helpers.thirdparty import installed
from tests.helpers.trees import mutated, places

ROOT = Path(__file__).parents[3]
FILES = sorted(
    path for folder in ("topologies", "tests", "lab/measure") for path in (ROOT / folder).rglob("*.clab.yml")
)
HUB = (ROOT / "topologies" / "hub-and-spokes.clab.yml").read_text()


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(topology_schema())


def data(text: str, *, raw: bool = False) -> Any:
    """Return a file's data as YAML reads it, by default with its variables substituted."""
    findings = Findings(Path("lab.yml"))
    tree = compose(verbatim(text) if raw else expand(text, {}), findings.file, findings)
    findings.raise_any()
    assert tree is not None
    return plain(tree)


def mistakes(text: str, *, raw: bool = False) -> list[str]:
    """Return the paths at which a text does not fit the schema, alternatives included, as `topology.nodes.a`."""
    errors = list(validator().iter_errors(data(text, raw=raw)))
    for error in errors:
        errors += error.context or ()
    return [".".join(map(str, error.absolute_path)) for error in errors]


def test_schema_is_valid_and_its_references_resolve() -> None:
    schema = topology_schema()
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    named = {reference.removeprefix("#/definitions/") for reference in _references(schema)}
    assert named == set(schema["definitions"])


def _references(schema: Any) -> Iterator[str]:
    for key, value in schema.items() if isinstance(schema, dict) else ():
        if key == "$ref":
            yield value
        yield from _references(value)
    for item in schema if isinstance(schema, list) else ():
        yield from _references(item)


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_topology_validates(file: Path) -> None:
    assert mistakes(file.read_text()) == []


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name == "topologies"], ids=lambda path: path.name)
def test_topologies_validate_with_variables_unsubstituted(file: Path) -> None:
    """An editor sees `${OPENVPN:=2.6}` and not its value."""
    assert mistakes(file.read_text(), raw=True) == []


# --- mistakes ----------------------------------------------------------------------------------------------

FRAME = """\
name: frame
topology:
  nodes:
    a: {{kind: linux, image: x:1{node}}}
    b: {{kind: linux, image: x:1}}
  links:
    - {{endpoints: ["a:eth1", "b:eth1"]{link}}}
"""


def frame(node: str = "", link: str = "", variables: str = "") -> str:
    node = node or (f"config: {{vars: {{{variables}}}}}" if variables else "")
    return FRAME.format(node=f", {node}" if node else "", link=f", {link}" if link else "")


def router(keys: str) -> str:
    return frame(variables=f"router: {{{keys}}}")


def tunnel(keys: str) -> str:
    return frame(variables=f"tunnels: [{{{keys}}}]")


def test_minimal_topology_validates() -> None:
    assert mistakes(frame()) == []


VARS = "topology.nodes.a.config.vars"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (frame() + "nmae: x\n", ""),
        (frame().replace("name: frame", "name: -x"), "name"),
        (frame().replace("  nodes:", "  node:"), "topology"),
        (frame().replace("    b:", "    host:"), "topology.nodes"),
        (frame(node="imge: x"), "topology.nodes.a"),
        (frame(node="privileged: maybe"), "topology.nodes.a.privileged"),
        (frame(node="network-mode: hots"), "topology.nodes.a.network-mode"),
        (frame() + "mgmt: {netwrok: x}\n", "mgmt"),
        (frame(node="env: [A]"), "topology.nodes.a.env"),
        (frame(node="exec: ls"), "topology.nodes.a.exec"),
        (frame(node="startup-delay: -1"), "topology.nodes.a.startup-delay"),
        (frame(node="startup-delay: soon"), "topology.nodes.a.startup-delay"),
        (frame(node="memory: much"), "topology.nodes.a.memory"),
        (frame(node="dns: {server: [192.0.2.1]}"), "topology.nodes.a.dns"),
        (frame(node="config: {var: {}}"), "topology.nodes.a.config"),
        (frame().replace("kind: linux", "kind: linus", 1), "topology.nodes.a.kind"),
        (router("asn: many"), f"{VARS}.router.asn"),
        (router("asn: 4294967296"), f"{VARS}.router.asn"),
        (router("asn: 1, daemon: quagga"), f"{VARS}.router.daemon"),
        (router("asn: 1, protocl: ospf"), f"{VARS}.router"),
        (router("asn: 1, timers: {holdtime: 3}"), f"{VARS}.router.timers"),
        (router("asn: 1, networks: [10.0.0.1/33]"), f"{VARS}.router.networks.0"),
        (router("asn: 1, networks: [10.0.0.0]"), f"{VARS}.router.networks.0"),
        (router("asn: 1, router-id: 10.0.0"), f"{VARS}.router.router-id"),
        (router("asn: 1, accept: [{ge: 8}]"), f"{VARS}.router.accept.0"),
        (router("asn: 1, multipath: sometimes"), f"{VARS}.router.multipath"),
        (frame(variables="routes: [{to: default}]"), f"{VARS}.routes.0"),
        (frame(variables="routes: [{to: defualt, via: b}]"), f"{VARS}.routes.0.to"),
        (tunnel("mode: tap"), f"{VARS}.tunnels.0"),
        (tunnel("to: b, mode: tapp"), f"{VARS}.tunnels.0.mode"),
        (tunnel("to: b, transport: sctp"), f"{VARS}.tunnels.0.transport"),
        (tunnel("to: b, openvpn: 2.5"), f"{VARS}.tunnels.0.openvpn"),
        (tunnel("to: b, mode: dco, openvpn: 2.6"), f"{VARS}.tunnels.0.openvpn"),
        (tunnel("to: b, profile: junos"), f"{VARS}.tunnels.0.profile"),
        (tunnel("to: b, port: 70000"), f"{VARS}.tunnels.0.port"),
        (tunnel("to: b, ipv4: {local: 10.0.0.1/30}"), f"{VARS}.tunnels.0.ipv4"),
        (tunnel("to: b, options: {tun-mut: 1400}"), f"{VARS}.tunnels.0.options"),
        (tunnel("to: b, options: {tun-mtu: 70000}"), f"{VARS}.tunnels.0.options.tun-mtu"),
        (tunnel("to: b, options: {keepalive: [1, 2, 3]}"), f"{VARS}.tunnels.0.options.keepalive"),
        (tunnel("to: b, mode: iroute, options: {cipher: AES-256-CBC}"), f"{VARS}.tunnels.0.options"),
        (tunnel("to: b, mode: tap, options: {iroute: [ipv4]}"), f"{VARS}.tunnels.0.options"),
        (tunnel("to: b, mode: p2p-tls, options: {max-clients: 1}"), f"{VARS}.tunnels.0.options"),
        (tunnel("to: b, mode: dco, options: {data-ciphers: [x]}"), f"{VARS}.tunnels.0.options.data-ciphers.0"),
        (frame(link="mtu: 67"), "topology.links.0.mtu"),
        (frame(link="ipv4: [10.0.0.1]"), "topology.links.0.ipv4.0"),
        (frame(link='ipv6: ["2001:db8::1/64", "2001:db8::2/64", "2001:db8::3/64"]'), "topology.links.0.ipv6"),
        (frame(link="type: host"), "topology.links.0"),
        (frame(link="type: bridge"), "topology.links.0.type"),
        (frame(link="type: dummy"), "topology.links.0"),
        (frame(node="restart-policy: sometimes"), "topology.nodes.a.restart-policy"),
        (frame(node="runtime: ignite"), "topology.nodes.a.runtime"),
        (frame(link="vars: {impair: {delay: -1}}"), "topology.links.0.vars.impair.delay"),
        (frame(link="vars: {encapsulation: {kind: gre6, outer: []}}"), "topology.links.0.vars.encapsulation.kind"),
        (frame().replace('"a:eth1"', '"a"'), "topology.links.0.endpoints.0"),
        (frame().replace('"a:eth1"', f'"a:{"x" * 128}"'), "topology.links.0.endpoints.0"),
        (frame().replace('"a:eth1", ', ""), "topology.links.0.endpoints"),
    ],
)  # fmt: skip
def test_mistake_is_refused_by_schema_and_reader(text: str, path: str) -> None:
    assert path in mistakes(text)
    with pytest.raises(InputError):
        parse(text, Path("lab.yml"), vocabulary(), environ={})


FREE = {"env", "labels", "sysctls", "tmpfs", "nodes", "groups", "kinds", "vars"}
"""Mappings whose keys the file chooses."""


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name == "topologies"], ids=lambda path: path.name)
def test_every_misspelt_key_is_refused(file: Path) -> None:
    tree = data(file.read_text())
    kept = []
    for path in places(tree):
        if isinstance(path[-1], str) and path[-2:-1] not in [(name,) for name in FREE]:
            wrong = mutated(tree, path, "rename", f"{path[-1]}x")
            if validator().is_valid(wrong):
                kept.append(".".join(map(str, path)))
    assert kept == []


# --- what the reader accepts -------------------------------------------------------------------------------

VALUES = [
    None, True, False, 0, 1, 2, 30, 1400, 65001, 1.5, 2.6, "2.7", "", "x", "a b", "linux", "Linux", "bridge", "hub",
    "spoke1", "hub:eth7", "veth", "none", "None", "tcp", "udp", "tap", "dco", "iroute", "p2p-tls", "frr", "bird",
    "bird3", "bgp", "ospf", "rip", "shared", "unnumbered", "ipv4", "ipv6", "default", "10.77.0.1/24", "10.77.0.0/24",
    "2001:db8:77::1/64", "2001:db8:77::/64", "10.77.0.1", "512MB", "never", "02:00:00:00:00:77", "AES-256-GCM",
    "subnet", "client-config-dir", "routeros-7", [], {}, ["ipv4"], ["10.77.0.0/24", "2001:db8:77::/64"], [5, 15],
    ["AES-256-GCM"], {"hold": 9}, {"interval": 100}, {"delay": 5}, {"impair": {"loss": 1}}, {"host": "hub"},
]  # fmt: skip
OPTION_VALUES = [value for value in VALUES if not isinstance(value, bool) and value not in (0, 1)]
"""Values of a mode's options: pydantic also takes booleans as numbers, and numbers as booleans and networks."""
MODELS = (RouterIntent, TunnelIntent, ServerOptions)
KEYS = sorted({*NODE_KEYS, *(f.alias or n for model in MODELS for n, f in model.model_fields.items())})
TREES = [data((ROOT / "topologies" / f"{name}.clab.yml").read_text()) for name in ("article", "dual-homed")]
PLACES = [places(tree) for tree in TREES]


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """Return a topology with a few changes: values replaced, keys left out and added."""
    number = draw(st.sampled_from(range(len(TREES))))
    tree = TREES[number]
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(PLACES[number]))
        how = draw(st.sampled_from(["replace", "replace", "add", "drop"]))
        value = draw(st.sampled_from(OPTION_VALUES if "options" in path else VALUES))
        if how == "add":
            path = (*path[:-1], draw(st.sampled_from(KEYS)))
        tree = mutated(tree, path, "drop" if how == "drop" else "replace", value)
    return tree


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(changed())
@example(TREES[0])
def test_schema_accepts_what_the_reader_accepts(tree: Any) -> None:
    text = yaml.safe_dump(tree)
    try:
        parse(text, Path("lab.yml"), vocabulary(), environ={})
    except InputError:
        return
    assert mistakes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        frame(node="env: {A: 1, B: , C: true}, sysctls: {net.ipv4.ip_forward: 1}, labels: {x: y}"),
        frame(node="kind: Linux, image-pull-policy: always, network-mode: None").replace("kind: linux, ", "", 1),
        frame(node="memory: 512MB, cpu: 0.5, shm-size: 64m, tmpfs: {/run: }, dns: {servers: [192.0.2.1]}"),
        frame(node="healthcheck: {test: [CMD, ls], interval: 3}, privileged: false, group: "),
        frame(node="exec: , binds: , config: {vars: }"),
        frame(link="mtu: 0"),
        frame().replace('"b:eth1"]', '"host:lab-b"]'),
        frame().replace('"b:eth1"]', '"macvlan:eth0"]'),
        frame() + "    - {type: vxlan, endpoint: {node: a, interface: vx}, remote: 192.0.2.9, vni: 5}\n",
        frame() + "    - {type: macvlan, endpoint: {node: a, interface: mv}, host-interface: eth0, mode: vepa}\n",
        frame(link="labels: {a: b}, vars: {cost: 10}"),
        frame(node="restart-policy: 'no', runtime: docker, certificate: {issue: false}, type: x, position: left"),
        frame(node="restart-policy: Always, auto-remove: true"),
        frame(node="mgmt-ipv4: 172.20.20.5, aliases: [web], ports: ['8080:80', 9000]"),
        frame() + "mgmt: {network: lab-net, ipv4-subnet: auto, mtu: 1400, driver-opts: {a: b}}\n",
        frame(variables="site: 3, colours: [red]"),
        frame().replace('"a:eth1"', '"a:ethernet-1/1"'),
        frame().replace("  nodes:", "  kinds: {srl: {image: x, license: y, type: z}}\n  nodes:"),
        frame().replace("  nodes:", "  groups: {leaf: {kind: srl, ports: [80]}}\n  defaults: {kind: srl}\n  nodes:"),
        frame() + "settings: {certificate-authority: {key-size: 2048}}\ndebug: true\n",
        frame(link="type: brief, vars: "),
        frame(link="type: Brief"),
        frame(link='ipv4: ["", 10.0.0.1/24]'),
        router("asn: 1, multipath: yes, recursion-filter: off"),
        router("asn: 1, router-id: , timers: , bfd: {}"),
        router("asn: ${ASN:=65001}, networks: ['${NET:=10.0.0.0/8}']"),
        tunnel("to: b, openvpn: 2.7, port: ").replace("]", "]").replace("x:1", "openvpn-routing-lab/node:2.6"),
        tunnel("to: b, mode: , options: {hand-out: client-config-dir}"),
        tunnel("to: b, mode: '${MODE:=p2p-tls}', transport: '${T:=udp}', options: {tun-mtu: '${MTU:=1400}'}"),
        tunnel("to: b, options: {keepalive: [5, 15], data-ciphers: ['?AES-256-GCM'], remotes: [{host: a.example}]}"),
        tunnel("to: b, mode: fixed-routes, options: {server-networks: [10.1.0.0/16], client-networks: [10.2.0.0]}"),
    ],
)  # fmt: skip
def test_spelling_is_accepted_by_schema_and_reader(text: str) -> None:
    linked = text.replace('"b:eth1"]}', '"b:eth1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}')
    parse(linked, Path("lab.yml"), vocabulary(), environ={})
    assert mistakes(linked) == []
    assert mistakes(linked.replace("${ASN:=65001}", '"${ASN:=65001}"'), raw=True) == []


# --- what an editor shows ----------------------------------------------------------------------------------


def test_keys_are_described_by_the_docstrings_of_the_models() -> None:
    definitions = topology_schema()["definitions"]
    described = docstrings(TunnelIntent)
    assert described["to"] == "The node that runs the OpenVPN server."
    for name, text in described.items():
        assert definitions["TunnelIntent"]["properties"][name]["description"] == text
    assert definitions["tap-options"]["properties"]["float"]["description"] == docstrings(ServerOptions)["float_"]


def test_every_installed_mode_is_completed_with_its_options() -> None:
    definitions = topology_schema()["definitions"]
    (choices, *_) = definitions["TunnelIntent"]["properties"]["mode"]["anyOf"]
    assert choices["enum"] == list(modes())
    assert choices["enumDescriptions"] == [mode.summary for mode in modes().values()]
    assert {f"{name}-options" for name in modes()} <= set(definitions)


def test_mode_of_another_distribution_is_in_the_schema() -> None:
    with installed("mode"):
        (name,) = set(modes()) - {"iroute", "fixed-routes", "shared-iroute", "tap", "dco", "p2p-tls", "p2p-static-key"}
        schema = Draft7Validator(topology_schema())
        assert list(schema.iter_errors(data(tunnel(f"to: b, mode: {name}")))) == []
        assert list(schema.iter_errors(data(tunnel(f"to: b, mode: {name}, options: {{tun-mut: 1}}")))) != []
    assert mistakes(tunnel(f"to: b, mode: {name}")) != []
