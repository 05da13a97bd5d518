"""Extra lines and options of BGP sessions in a topology file: their places, and mistakes in them."""

from pathlib import Path

import pytest

from lab.catalogue import vocabulary
from lab.topology import Topology, TopologyError, dump, extra_lines, parse

FILE = Path("mine.clab.yml")

TEXT = """\
name: mine
topology:
  defaults: {{kind: linux, image: "openvpn-routing-lab/node:2.6", network-mode: none}}
  nodes:
    a:
      config:
        vars:
          router:
            daemon: {daemon}
            protocol: {protocol}
            {asn}
            networks: [10.1.0.0/24]
{a}
    b:
      config:
        vars:
          router: {{daemon: frr, protocol: {protocol}, {b_asn} recursion-filter: {filter}}}
          tunnels:
            - to: a
              mode: p2p-tls
              options: {options}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      ipv4: [192.0.2.1/30, 192.0.2.2/30]
"""


def text(
    *a: str, daemon: str = "frr", protocol: str = "bgp", options: str = "{}", recursion_filter: str = "true"
) -> str:
    bgp = protocol == "bgp"
    return TEXT.format(
        a="\n".join(f"            {line}" for line in a),
        daemon=daemon,
        protocol=protocol,
        asn="asn: 65001" if bgp else "timers: {}",
        b_asn="asn: 65002," if bgp else "",
        options=options,
        filter=recursion_filter,
    )


def read(file: str) -> Topology:
    return parse(file, FILE, vocabulary(), environ={})


def mistakes(file: str) -> str:
    with pytest.raises(TopologyError) as caught:
        read(file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("extra", "lines"),
    [
        ("", ()),
        ((), ()),
        ("one\n two\n", ("one", " two")),
        ("one\n\ntwo", ("one", "", "two")),
        (("one", "two\nthree"), ("one", "two", "three")),
    ],
)
def test_lines_of_a_text_and_of_a_list(extra: str | tuple[str, ...], lines: tuple[str, ...]) -> None:
    assert extra_lines(extra) == lines


def test_each_extra_line_has_its_place() -> None:
    key = "topology.nodes.a.config.vars.router.extra"
    block = read(text("extra: |", "  route-map X permit 10", "  exit"))
    assert block.extra_at == {"a": (f"mine.clab.yml:14: {key}", f"mine.clab.yml:15: {key}")}
    listed = read(text("extra:", "  - route-map X permit 10", "  - exit"))
    assert listed.extra_at == {"a": (f"mine.clab.yml:14: {key}[0]", f"mine.clab.yml:15: {key}[1]")}
    (tunnel,) = read(text(options="{extra: {server: [reneg-sec 60], client: reneg-sec 60}}")).tunnels
    key = "topology.nodes.b.config.vars.tunnels[0].options.extra"
    assert tunnel.extra_at == {
        "server": (f"mine.clab.yml:21: {key}.server[0]",),
        "client": (f"mine.clab.yml:21: {key}.client",),
    }


def test_dumped_and_stored_topologies_keep_extra_lines() -> None:
    topology = read(text("extra: |", "  ! $$HOME", "  exit", options="{extra: {server: reneg-sec 60}}"))
    assert Topology.model_validate_json(topology.model_dump_json(by_alias=True)) == topology
    again = read(dump(topology))
    assert again.nodes == topology.nodes
    assert again.tunnels[0].options == topology.tunnels[0].options


@pytest.mark.parametrize(
    ("lines", "place", "what"),
    [
        (["password: a b"], "13:23: topology.nodes.a.config.vars.router.password", "80 printable ASCII"),
        (["communities: {10.1.0.0/24: [65536:1]}"], "13:26: ", "'65536:1' is not a community"),
        (["communities: {10.2.0.0/24: [65001:1]}"], "13:40: ", "10.2.0.0/24 is not one of the router's networks"),
        (["neighbors: {c: {allowas-in: 1}}"], "13:28: ", "'c' is not a neighbour of 'a'"),
        (["neighbors: {b: {extra: passive}}"], "13:36: ", "frr.conf has no section per neighbour"),
        (["default-originate: true"], "13:32: ", "'b' rejects a default route through a tunnel"),
        (["ttl-security: 0"], "13:27: ", "'0' is not a whole number from 1 to 254"),
        (["allowas-in: 11"], "13:25: ", "'11' is not a whole number from 1 to 10"),
        (["sessions: unnumbered", "password: x"], "14:23: ", "a TCP MD5 key belongs to an address"),
    ],
)
def test_mistakes_in_session_options_have_places(lines: list[str], place: str, what: str) -> None:
    reported = mistakes(text(*lines))
    assert any(f"mine.clab.yml:{place}" in line and what in line for line in reported.splitlines()), reported


@pytest.mark.parametrize("protocol", ["ospf", "rip"])
@pytest.mark.parametrize(
    "line",
    [
        "password: x",
        "ttl-security: 1",
        "graceful-restart: 60",
        "default-originate: true",
        "allowas-in: 1",
        "communities: {10.1.0.0/24: [65001:1]}",
        "neighbors: {b: {allowas-in: 1}}",
    ],
)
def test_session_options_are_refused_for_other_protocols(protocol: str, line: str) -> None:
    key = line.partition(":")[0]
    file = text(line, protocol=protocol).replace("mode: p2p-tls", "mode: tap")
    assert f"{key!r} is for BGP only, and the protocol is {protocol}" in mistakes(file)


def test_bird_refuses_a_ttl_check_beyond_the_link() -> None:
    assert "with a TTL of 255 exactly" in mistakes(text("ttl-security: 2", daemon="bird"))
    assert read(text("ttl-security: 1", daemon="bird"))
    assert read(text("ttl-security: 2"))


def test_default_originate_is_accepted_without_the_recursion_filter() -> None:
    assert read(text("default-originate: true", recursion_filter="false"))


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("management 127.0.0.1 7505", "management"),
        ("--management-hold", "management-hold"),
        ("daemon", "daemon"),
        ("setenv opt daemon", "daemon"),
        ("'log' /tmp/x", "log"),
        ('\\"cd\\" /tmp', "cd"),
    ],
)
def test_lines_that_hide_openvpn_from_the_lab_are_refused(line: str, option: str) -> None:
    reported = mistakes(text(options=f'{{extra: {{server: [reneg-sec 60, "{line}"]}}}}'))
    assert f"options.extra.server[1]: the lab does not support {option!r} in extra lines" in reported


def test_inline_blocks_and_comments_are_not_options() -> None:
    topology = read(text(options='{extra: {client: ["# daemon", "<ca>", "daemon", "</ca>", "up /x"]}}'))
    assert topology.tunnels[0].extra_at["client"]


def test_clients_of_one_server_may_have_different_lines() -> None:
    hub = (Path(__file__).parents[2] / "daemons" / "hub.clab.yml").read_text()
    tunnel = "{to: hub, mode: tap, transport: udp}"
    first, second, rest = hub.split(tunnel)

    def file(one: str, other: str) -> str:
        options = [tunnel.replace("}", f", options: {{extra: {{{lines}}}}}}}") for lines in (one, other)]
        return first + options[0] + second + options[1] + rest

    topology = read(file("server: verb 5, client: reneg-sec 60", "server: verb 5, client: reneg-sec 70"))
    assert len({tunnel.shared for tunnel in topology.tunnels}) == 1
    assert "must have the same options" in mistakes(file("server: verb 5", "server: verb 4"))


def test_external_client_takes_no_extra_lines() -> None:
    file = text(options="{data-ciphers: [AES-256-CBC], extra: {client: verb 3}}")
    file = file.replace("mode: p2p-tls", "mode: iroute, profile: routeros-7").replace(
        "              mode: iroute, ", "              mode: iroute\n              "
    )
    assert "RouterOS 7 does not read OpenVPN's options" in mistakes(file)
