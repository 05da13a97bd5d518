"""The topologies that imports write: nodes, links, addresses, names, and a comment for each assumption."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from lab.importer import Import, write_import
from tests.helpers.imported import file_of, links, text_of, topology, variables

ROOT = Path(__file__).parents[3]
Importing = Callable[..., Import]
SAMPLES: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("hub", "north"), {}),
    (("hub",), {"south": "openwrt"}),
    (("alder", "birch"), {}),
    (("alder",), {}),
    (("laptop",), {}),
    (("hub",), {}),
    (("vyos",), {}),
]


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    text = (ROOT / "tests" / "data" / "clab.schema.json").read_text()
    return jsonschema.Draft7Validator(json.loads(text.replace(r"[\\p{N}\\p{L}]", r"\\w")))


@pytest.mark.parametrize(("samples", "named"), SAMPLES, ids=lambda part: "-".join(part))
def test_topology_is_valid_for_containerlab(
    importing: Importing, schema: jsonschema.Draft7Validator, samples: tuple[str, ...], named: dict[str, str]
) -> None:
    made = importing(*samples, **named)
    assert not list(schema.iter_errors(yaml.safe_load(text_of(made))))
    assert not made.questions


def test_import_of_the_same_files_is_the_same(importing: Importing) -> None:
    assert importing("hub", "north").files == importing("hub", "north").files


def test_host_keeps_its_interfaces_addresses_and_gateway(importing: Importing) -> None:
    made = importing("hub", "north")
    outer = links(made)["hub:ens3", "internet:eth1"]
    assert outer["ipv4"] == ["203.0.113.10/24", "203.0.113.1/24"]
    assert outer["ipv6"][0] == "2001:db8:113::10/64"
    assert links(made)["hub:ens4", "hub-lan:eth0"]["ipv4"] == ["10.10.0.254/24", "10.10.0.10/24"]
    assert variables(made, "hub")["routes"] == [{"to": "default", "via": "internet"}]
    assert not any("hub:tun0" in ends for ends in links(made))


def test_sysctls_are_those_of_the_host_as_far_as_they_concern_forwarding(importing: Importing) -> None:
    made = importing("hub", "north")
    assert topology(made)["nodes"]["hub"]["sysctls"] == {
        "net.ipv4.conf.all.rp_filter": 2,
        "net.ipv4.ip_forward": 1,
        "net.ipv6.conf.all.forwarding": 0,
    }
    assert topology(made)["nodes"]["north"]["sysctls"]["net.ipv4.ip_forward"] == 1


def test_name_of_a_remote_leads_to_its_host(importing: Importing) -> None:
    made = importing("hub", "north")
    assert "203.0.113.10 hub.example.net\n" in file_of(made, "mine/etc/hosts")
    assert topology(made)["defaults"]["binds"] == ["mine/etc/hosts:/etc/hosts:ro"]


def test_network_of_an_iroute_becomes_a_lan_of_the_client(importing: Importing) -> None:
    made = importing("hub", "north")
    assert links(made)["north:eth1", "north-lan:eth0"]["ipv4"] == ["10.20.0.1/24", "10.20.0.10/24"]
    assert variables(made, "north-lan")["routes"] == [{"to": "default", "via": "north"}]


def test_each_assumption_is_a_comment_of_its_node(importing: Importing) -> None:
    made = importing("hub", "north")
    comments = " ".join(line.strip().removeprefix("# ") for line in text_of(made).splitlines() if "#" in line)
    assert [note.node for note in made.notes if "outer address" in note.text] == ["north"]
    for note in made.notes:
        assert note.text in comments


def test_only_the_files_of_a_unit_are_processes(importing: Importing) -> None:
    made = importing("hub", "north")
    assert made.processes == ("hub (hub/etc/openvpn/server.conf)", "north (north/etc/openvpn/client/hub.conf)")
    assert any("server.conf.bak is not started" in note.text for note in made.notes)
    assert variables(made, "hub")["openvpn"] == [{"config": "hub/etc/openvpn/server.conf"}]


def test_copied_links_of_systemd_tell_which_units_run(importing: Importing, tmp_path: Path) -> None:
    server = tmp_path / "a" / "etc" / "openvpn" / "server"
    wants = tmp_path / "a" / "etc" / "systemd" / "system" / "multi-user.target.wants"
    for directory in (server, wants):
        directory.mkdir(parents=True)
    for name, port in (("hub", 1194), ("old", 1195)):
        text = f"dev tun\nserver 10.8.0.0 255.255.255.0\nport {port}\nca ca.crt\ncert a.crt\nkey a.key\ndh none\n"
        (server / f"{name}.conf").write_text(text)
    both = importing(a=tmp_path / "a")
    assert len(variables(both, "a")["openvpn"]) == 2
    (wants / "openvpn-server@hub.service").symlink_to("/lib/systemd/system/openvpn-server@.service")
    one = importing(a=tmp_path / "a")
    assert [process["config"] for process in variables(one, "a")["openvpn"]] == ["a/etc/openvpn/server/hub.conf"]
    assert any(
        "/etc/openvpn/server/old.conf is not started: no link to openvpn-server@old.service" in note.text
        for note in one.notes
    )


def test_hosts_of_one_network_share_a_link(importing: Importing, tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two"), 1):
        (tmp_path / name).mkdir()
        address = {"family": "inet", "local": f"203.0.113.{number}", "prefixlen": 24}
        (tmp_path / name / "address").write_text(json.dumps([{"ifname": "eth0", "addr_info": [address]}]))
    (tmp_path / "one" / "a.conf").write_text("dev tun\nserver 10.8.0.0 255.255.255.0\nca ca\n")
    (tmp_path / "two" / "a.conf").write_text("client\ndev tun\nremote 203.0.113.1\nca ca\n")
    made = importing(one=tmp_path / "one", two=tmp_path / "two")
    assert topology(made)["nodes"]["segment1"] == {"kind": "bridge"}
    assert {ends[0] for ends in links(made) if ends[1].startswith("segment1:")} == {
        "one:eth0",
        "two:eth0",
        "internet:eth1",
    }


def test_address_of_a_point_to_point_tunnel_can_be_of_the_lan(importing: Importing) -> None:
    made = importing("alder", "birch")
    (lan,) = (link for ends, link in links(made).items() if ends[0].startswith("alder:") and "lan" in ends[1])
    assert lan["ipv4"] == ["172.20.101.2/27", "172.20.101.10/27"]


def test_text_of_a_file_cannot_become_a_variable_of_the_topology(importing: Importing, tmp_path: Path) -> None:
    strange = tmp_path / "a $HOME {{b}}"
    strange.mkdir()
    (strange / "it's ${X}.conf").write_text("client\ndev tun\nremote 203.0.113.1\nca ca\n")
    made = importing(branch=strange)
    text = text_of(made)
    assert "{{" not in text
    assert "$HOME" not in text.replace("$$", "")
    loaded = yaml.safe_load(text)
    (process,) = loaded["topology"]["nodes"]["branch"]["config"]["vars"]["openvpn"]
    assert process["config"].replace("$$", "$") == "a $HOME {{b}}/it's ${X}.conf"


def test_hosts_file_of_a_client_tells_where_a_name_leads(importing: Importing, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        local = {"one": "203.0.113.1", "two": "203.0.113.2"}[name]
        text = f"dev tun\nserver 10.8.0.0 255.255.255.0\nca ca\nlocal {local}\n"
        (tmp_path / name / "server.conf").write_text(text)
    (tmp_path / "branch").mkdir()
    (tmp_path / "branch" / "a.conf").write_text("client\ndev tun\nremote vpn.example.net\nca ca\n")
    (tmp_path / "branch" / "hosts").write_text("127.0.0.1 localhost\n203.0.113.2 vpn.example.net\n")
    made = importing(**{name: tmp_path / name for name in ("one", "two", "branch")})
    (tunnel,) = (t for t in made.tunnels if t.client.startswith("branch"))
    assert tunnel.server == "two (two/server.conf)"
    assert tunnel.reasons == ("/etc/hosts has vpn.example.net as 203.0.113.2, an address of two",)
    assert "203.0.113.2 vpn.example.net\n" in file_of(made, "mine/etc/hosts")


def test_same_static_key_pairs_ends_and_another_one_does_not(importing: Importing, tmp_path: Path) -> None:
    key = "-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----\n"
    for name, number in (("one", 1), ("two", 2), ("branch", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "k").write_text(key.format(f"{number:032x}"))
    for name in ("one", "two"):
        (tmp_path / name / "a.conf").write_text("dev tun\nifconfig 10.9.0.1 10.9.0.2\nsecret k\n")
    (tmp_path / "branch" / "a.conf").write_text(
        "dev tun\nifconfig 10.9.0.2 10.9.0.1\nremote 203.0.113.1\nnobind\nsecret k\n"
    )
    made = importing(**{name: tmp_path / name for name in ("one", "two", "branch")})
    assert made.tunnels[0].server == "two (two/a.conf)"
    assert "both have the same key in secret" in made.tunnels[0].reasons


def test_profile_of_a_client_on_its_server_is_not_started(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "server.conf").write_text("dev tun\nserver 10.8.0.0 255.255.255.0\nca ca\nlocal 203.0.113.1\n")
    (tmp_path / "hq" / "laptop.ovpn").write_text("client\ndev tun\nremote 203.0.113.1\nca ca\n")
    made = importing(hq=tmp_path / "hq")
    assert made.processes == ("hq (hq/server.conf)",)
    assert any("laptop.ovpn is the profile of a client" in note.text for note in made.notes)


# --- counterparts ------------------------------------------------------------------------------------------


def test_client_without_options_of_its_own_gets_no_counterpart(importing: Importing) -> None:
    made = importing("hub", "north")
    assert made.hosts == ("hub", "north")
    assert made.counterparts == ("south",)  # the server has options for south too


def test_server_alone_gets_a_client_for_each_name(importing: Importing) -> None:
    made = importing("hub")
    assert made.counterparts == ("north", "south")
    client = file_of(made, "mine/north/etc/openvpn/client.conf")
    assert client.startswith("# Made by `lab import`")
    assert {"client", "dev tun0", "proto udp", "remote hub 1194", "cipher AES-256-GCM"} <= set(client.splitlines())
    assert "tls-auth /etc/openvpn/tls-auth.key 1" in client


def test_client_alone_gets_a_server_at_its_remote(importing: Importing) -> None:
    made = importing("laptop")
    server = file_of(made, "mine/laptop-server/etc/openvpn/server.conf").splitlines()
    assert {"mode server", "proto tcp-server", "port 443", "verify-client-cert none"} <= set(server)
    assert any(link["ipv4"][0].startswith("192.0.2.77/") for link in links(made).values())


def test_peer_alone_gets_its_mirror_and_a_router(importing: Importing) -> None:
    made = importing("alder")
    peer = file_of(made, "mine/alder-peer/etc/openvpn/peer.conf").splitlines()
    assert {"ifconfig 172.20.202.1 172.20.101.1", "port 51901", "secret /etc/openvpn/secret.key 1"} <= set(peer)
    router = file_of(made, "mine/alder-peer/etc/frr/frr.conf")
    assert "router bgp 4242429102\n" in router
    assert " neighbor 172.20.101.1 remote-as 4242429101\n neighbor 172.20.101.1 password between-the-two\n" in router


def test_made_file_with_a_password_is_secret(importing: Importing) -> None:
    made = importing("alder")
    written = write_import(made)
    frr = next(path for path in written if path.name == "frr.conf")
    assert frr.stat().st_mode & 0o777 == 0o600


def test_translated_files_are_written_with_their_origin(importing: Importing) -> None:
    made = importing("hub", south="openwrt")
    text = file_of(made, "mine/south/var/etc/openvpn-hub.conf")
    assert text.splitlines()[0].startswith("# Translated from south/etc/config/openvpn by `lab import`")
    assert "remote 203.0.113.10 1194" in text
    assert variables(made, "south")["openvpn"] == [
        {"config": "mine/south/var/etc/openvpn-hub.conf", "path": "/var/etc/openvpn-hub.conf"}
    ]
    assert any(ends[0] == "south:br-lan" for ends in links(made))


def test_bgp_neighbour_of_a_translated_router_is_made(importing: Importing) -> None:
    made = importing("vyos")
    assert made.routers == ("vyos (mine/vyos/etc/frr/frr.conf)",)
    assert "neighbor 10.9.0.1 remote-as 65040" in file_of(made, "mine/site/etc/frr/frr.conf")
    assert links(made)["vyos:eth0", "internet:eth1"]["ipv4"][0] == "192.0.2.10/24"


def test_two_daemons_of_bird_1_6_become_one_file(importing: Importing, tmp_path: Path) -> None:
    for name in ("bird.conf", "bird6.conf"):
        target = tmp_path / "hq" / "etc" / "bird" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((ROOT / "tests" / "data" / "configs" / "bird1" / name).read_text())
    made = importing(hq=tmp_path / "hq", assume=True)
    assert variables(made, "hq")["router"] == {"daemon": "bird", "config": ["mine/hq/etc/bird/bird.conf"]}
    text = file_of(made, "mine/hq/etc/bird/bird.conf")
    assert text.startswith("# Translated from hq/etc/bird/bird.conf and hq/etc/bird/bird6.conf by `lab import`")
    assert "protocol ospf v2 backbone {" in text
    assert "neighbor 2001:db8:98::1 as 65101;" in text
    assert any("written for BIRD 1.6" in note.text for note in made.notes)


def test_files_that_leave_no_network_unused(importing: Importing, tmp_path: Path) -> None:
    server = 'dev tun0\nserver 192.168.8.0 255.255.255.0\nlocal 203.0.113.1\nca ca\npush "route 10.0.0.0 255.0.0.0"\n'
    frr = "router ospf\n network 192.168.8.0/24 area 0\ninterface eth7\n ip ospf area 0\n"
    frr += "interface eth8\n ip ospf area 0\n"
    for name, text in (("hq", server), ("branch", "client\ndev tun0\nremote 203.0.113.1\nca ca\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.conf").write_text(text)
    (tmp_path / "hq" / "frr.conf").write_text(f"frr version 10.3\n{frr}")
    made = importing(hq=tmp_path / "hq", branch=tmp_path / "branch", assume=True)
    notes = [note.text for note in made.notes]
    assert "no link for eth8: the files leave no network unused" in notes
    assert "the routers made for branch originate no network: the files leave none unused" in notes
    assert "router ospf" in file_of(made, "mine/branch/etc/frr/frr.conf")
