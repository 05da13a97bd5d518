"""Hostile files: each is read, or refused in one line; nothing outside of the tree is read."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.catalogue import load
from lab.topology import TopologyError

TOPOLOGY = """name: own
topology:
  defaults: {kind: linux, image: "openvpn-routing-lab/node:2.7", network-mode: none}
  nodes:
    hq: {config: {vars: {openvpn: [{config: hq/etc/openvpn/a.conf}]}}}
    b: {config: {vars: {openvpn: [{config: b/b.conf}]}}}
  links:
    - type: veth
      endpoints: [{node: hq, interface: eth1, ipv4: 192.0.2.1/24}, {node: b, interface: eth1, ipv4: 192.0.2.2/24}]
"""
WORDS = st.sampled_from(
    [
        *(
            "dev tun",
            "dev",
            "dev tap9",
            "dev null",
            "dev-type tap",
            "client",
            "server 10.8.0.0 255.255.255.0",
            "server x y",
        ),
        *(
            "server-ipv6 2001:db8::/64",
            "server-ipv6 ::/999",
            "remote 192.0.2.1 1194",
            "remote 192.0.2.1 99999",
            "remote",
        ),
        *("remote name.example 1 tcp", "port 0", "port 70000", "lport x", "proto", "proto tcp-server", "mode server"),
        *(
            "ifconfig 10.0.0.1 10.0.0.2",
            "ifconfig 1 2",
            "ifconfig-ipv6 x",
            "client-config-dir /etc",
            "client-config-dir ..",
        ),
        *(
            "ca ../../secret",
            "ca ../../../../../x",
            "cert //x",
            "key /./x",
            "config ../../../../x",
            "cert /",
            "key [inline]",
            "secret \0",
            "config a.conf",
            "config ../b/b.conf",
            "config /",
            "cd /",
        ),
        *("management", "management 127.0.0.1 x", "management / unix", "management tunnel 1", "management a 1 ../pw"),
        *(
            "status ../../x",
            "writepid /",
            "ifconfig-pool-persist .",
            "chroot /",
            "user",
            "plugin /x.so",
            "up 'rm -rf /'",
        ),
        *(
            "<ca>\nx\n</ca>",
            "<key>",
            "<connection>\nremote 192.0.2.1\n</connection>",
            "local 192.0.2.9",
            "auth-user-pass",
        ),
        *("tls-crypt-v2 /dev/zero", "crl-verify / dir", "capath /proc", 'push "route', "daemon x y z", "log /dev/null"),
    ]
)
LINES = st.lists(st.one_of(WORDS, st.text(max_size=40), st.binary(max_size=20).map(repr)), max_size=25).map("\n".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, LINES)
def test_any_file_is_read_or_refused_in_one_line(hq: str, other: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "secret").write_text("a secret outside of both trees")
        for name, text in (
            ("own.clab.yml", TOPOLOGY),
            ("hq/etc/openvpn/a.conf", hq),
            ("hq/x", "verb 3"),
            ("b/b.conf", other),
        ):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, errors="surrogatepass")
        before = sorted(directory.rglob("*"))
        try:
            topology = load(directory / "own.clab.yml")
        except TopologyError as error:
            for line in str(error).splitlines():
                assert line.startswith(str(directory / "own.clab.yml")), line
        else:
            trees = {"hq": directory / "hq", "b": directory / "b"}
            for process in topology.processes:
                for file in process.files:
                    assert file.source is None or file.source.is_relative_to(trees[process.node])
                    assert file.path.is_absolute()
                    assert ".." not in file.path.parts
            assert "a secret outside" not in topology.model_dump_json()
        assert sorted(directory.rglob("*")) == before


def test_ten_thousand_lines_and_clients_are_read(tmp_path: Path) -> None:
    (tmp_path / "own.clab.yml").write_text(TOPOLOGY)
    for directory in ("hq/etc/openvpn/ccd", "b"):
        (tmp_path / directory).mkdir(parents=True)
    routes = "".join(f"route 10.{n // 256}.{n % 256}.0 255.255.255.0\n" for n in range(10_000))
    (tmp_path / "hq/etc/openvpn/a.conf").write_text(
        f"dev tun\nserver 10.200.0.0 255.255.0.0\nclient-config-dir ccd\n{routes}"
    )
    (tmp_path / "b/b.conf").write_text("client\ndev tun\nremote 192.0.2.1\n")
    for number in range(1001):
        (tmp_path / f"hq/etc/openvpn/ccd/c{number}").touch()
    topology = load(tmp_path / "own.clab.yml")
    assert [t.name for t in topology.tunnels] == ["b-hq"]
