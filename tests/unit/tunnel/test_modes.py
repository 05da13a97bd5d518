"""All installed modes: the properties that they share, and those of each."""

import base64
import hmac
import itertools
import re
from pathlib import PurePosixPath
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from lab.catalogue import load
from lab.core.files import RenderedFile
from lab.tunnel import modes, processes
from lab.tunnel.keyfiles import static_key, tls_crypt_v2_client, tls_crypt_v2_server
from lab.tunnel.pki import Authority
from tests.helpers.rendering import OBSOLETE, configured, directives, first_tunnel, of_mode, rendered

FILE_DIRECTIVES = ("ca", "cert", "key", "crl-verify", "secret", "tls-crypt", "tls-crypt-v2", "client-connect")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("unit lab")


@pytest.fixture(params=sorted(modes()))
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def options_of(mode: str) -> list[dict[str, Any]]:
    """Return sets of options that all modes have, or all modes with TLS."""
    plain = [{}, {"auth": "SHA512", "mssfix": 0, "tun-mtu": 1400, "verb": 3, "persist-tun": False, "keepalive": [2, 6]}]
    if not modes()[mode].traits.certificates:
        return plain
    return [*plain, {"tls-crypt": True}, {"tls-crypt-v2": True}, {"data-ciphers": ["CHACHA20-POLY1305"]}]


def test_summary_is_one_line(mode: str) -> None:
    unit = modes()[mode]
    assert unit.name == mode
    assert len(unit.summary) > 30
    assert "\n" not in unit.summary


def test_both_ends_use_one_transport_and_family(authority: Authority, mode: str) -> None:
    for transport, outer in itertools.product(("tcp", "udp"), ("ipv4", "ipv6")):
        tunnel = first_tunnel(mode, transport=transport, outer=outer)
        server, client = configured(authority, tunnel)
        expected = f"{transport}{outer.removeprefix('ipv')}"
        ends = ("-server", "-client") if transport == "tcp" else ("", "")
        assert [server["proto"], client["proto"]] == [[[expected + end]] for end in ends]
        assert client["remote"] == [[str(tunnel.server_outer), str(tunnel.port)]]
        assert server["local"] == [[str(tunnel.server_outer)]]
        assert server["port"] == [[str(tunnel.port)]]


def test_every_named_file_is_rendered_and_secrets_have_mode_600(authority: Authority, mode: str) -> None:
    for options in options_of(mode):
        tunnel = first_tunnel(mode, options=options)
        for end, conf in zip(("server", "client"), configured(authority, tunnel), strict=True):
            files = rendered(authority, tunnel)["server" if end == "server" else "client"]
            named = {values[0] for key in FILE_DIRECTIVES for values in conf.get(key, [])}
            assert named
            assert named <= files.keys()
            assert all(file.mode == 0o600 for file in files.values() if is_secret(file))
            assert not OBSOLETE & conf.keys()


def is_secret(file: RenderedFile) -> bool:
    return any(
        word in file.content
        for word in ("PRIVATE KEY-----", "Static key V1-----", "-v2 server key-----", "-v2 client key-----")
    )


def test_devices_are_named_as_in_the_topology(authority: Authority, mode: str) -> None:
    tunnel = first_tunnel(mode)
    server, client = configured(authority, tunnel)
    assert (server["dev"], client["dev"]) == ([[tunnel.server_device]], [[tunnel.device]])
    assert server["dev-type"] == client["dev-type"] == [[modes()[mode].traits.device]]


def test_shared_options_are_set_at_both_ends(authority: Authority, mode: str) -> None:
    options = {"auth": "SHA512", "mssfix": 0, "tun-mtu": 1400, "verb": 3, "persist-tun": False}
    for end in configured(authority, first_tunnel(mode, options=options)):
        assert end["auth"] == [["SHA512"]]
        assert end["mssfix"] == [["0"]]
        assert end["tun-mtu"] == [["1400"]]
        assert end["verb"] == [["3"]]
        assert "persist-tun" not in end
    for end in configured(authority, first_tunnel(mode)):
        assert "auth" not in end
        assert "mssfix" not in end
        assert end["persist-tun"] == [[]]


def test_iroute_for_everything_disables_dco_except_with_net30(authority: Authority, mode: str) -> None:
    """With DCO the `iroute` would be the server's default route; with `topology net30` OpenVPN does not use DCO."""
    for options in ({"topology": "net30"}, {"topology": "subnet"}) if mode == "iroute" else ({},):
        tunnel = first_tunnel(mode, options=options)
        files = rendered(authority, tunnel)["server"].values()
        everything = any("iroute 0.0.0.0 0.0.0.0" in file.content.splitlines() for file in files)
        server, _ = configured(authority, tunnel)
        assert ("disable-dco" in server) == (everything and server["topology"] != [["net30"]])


def test_disable_dco_is_set_at_both_ends(authority: Authority, mode: str) -> None:
    if modes()[mode].traits.kernel is None:
        for end in configured(authority, first_tunnel(mode, options={"disable-dco": True})):
            assert end.get("disable-dco") == [[]], "the kernel may forward the data"
    else:
        assert not any("disable-dco" in end for end in configured(authority, first_tunnel(mode)))


def test_keepalive_is_set_at_the_server_or_at_both_ends(authority: Authority, mode: str) -> None:
    server, client = configured(authority, first_tunnel(mode, options={"keepalive": [2, 6]}))
    assert server["keepalive"] == [["2", "6"]]
    # In server mode the client gets it by push.
    assert client.get("keepalive") == (None if modes()[mode].traits.mode_server else [["2", "6"]])


def test_tls_crypt_key_is_the_same_at_both_ends(authority: Authority, mode: str) -> None:
    if not modes()[mode].traits.certificates:
        return
    tunnel = first_tunnel(mode, options={"tls-crypt": True})
    keys = {
        files[str(processes(tunnel)[end].files / "tls-crypt.key")].content
        for end, files in rendered(authority, tunnel).items()
    }
    assert len(keys) == 1
    other = Authority.new("another lab")
    assert keys != {f.content for f in rendered(other, tunnel)["client"].values() if "Static key" in f.content}
    for end in configured(authority, tunnel):
        assert PurePosixPath(end["tls-crypt"][0][0]).name == "tls-crypt.key"
    for end in configured(authority, first_tunnel(mode)):
        assert "tls-crypt" not in end


def mistakes(mode: str, **tunnel: Any) -> list[str]:
    """Return the objections of a mode to an intent."""
    from lab.topology import TunnelIntent

    return [str(objection.what) for objection in modes()[mode].check(TunnelIntent(to="hq", mode=mode, **tunnel))]


def test_every_mode_refuses_unknown_and_invalid_options(mode: str) -> None:
    assert mistakes(mode) == []
    assert mistakes(mode, options={"colour": "red"}) == ["no such option"]
    assert len(mistakes(mode, options={"verb": 12, "mssfix": -1, "keepalive": [3, 4], "auth": "SHA 1"})) == 4


def test_tls_crypt_and_tls_crypt_v2_exclude_each_other(mode: str) -> None:
    both = {"tls-crypt": True, "tls-crypt-v2": True}
    if modes()[mode].traits.certificates:
        assert mistakes(mode, options=both) == ["tls-crypt and tls-crypt-v2 exclude each other"]
    else:
        assert mistakes(mode, options=both) == ["no such option", "no such option"]


def test_p2p_tls_has_addresses_at_both_ends_and_no_mode_server(authority: Authority) -> None:
    tunnel = first_tunnel("p2p-tls")
    server, client = configured(authority, tunnel)
    for end in (server, client):
        assert not {"mode", "pull", "push", "client-config-dir", "client-connect", "server"} & end.keys()
        assert end["topology"] == [["p2p"]]
    assert server["ifconfig"] == [["10.255.0.1", "10.255.0.2"]]
    assert client["ifconfig"] == [["10.255.0.2", "10.255.0.1"]]
    assert server["ifconfig-ipv6"] == [["2001:db8:ff::1/64", "2001:db8:ff::2"]]
    assert client["ifconfig-ipv6"] == [["2001:db8:ff::2/64", "2001:db8:ff::1"]]
    assert (server["verify-x509-name"], client["verify-x509-name"]) == ([["branch", "name"]], [["hq", "name"]])
    assert server["ping-timer-rem"] == [[]]
    assert "ping-timer-rem" not in client


def test_static_key_is_shared_with_opposite_directions(authority: Authority) -> None:
    tunnel = first_tunnel("p2p-static-key")
    server, client = configured(authority, tunnel)
    files = rendered(authority, tunnel)
    (path, here), (other, there) = server["secret"][0], client["secret"][0]
    assert (here, there) == ("0", "1")
    assert files["server"][path].content == files["client"][other].content
    for end in (server, client):
        assert end["cipher"] == [["AES-256-CBC"]]
        assert "allow-deprecated-insecure-static-crypto" in end
        assert not {"tls-server", "tls-client", "ca", "cert", "key", "data-ciphers"} & end.keys()
    assert not any("CERTIFICATE" in file.content for end in files.values() for file in end.values())


def test_static_key_has_2048_bits_in_lines_of_16_bytes() -> None:
    text = static_key(b"secret", "static")
    *_, begin, body, end = re.split(r"(-----BEGIN .*-----\n|-----END .*-----\n)", text)[:-1]
    assert begin == "-----BEGIN OpenVPN Static key V1-----\n"
    assert end == "-----END OpenVPN Static key V1-----\n"
    assert [len(line) for line in body.splitlines()] == [32] * 16
    assert len(bytes.fromhex(body)) * 8 == 2048
    assert static_key(b"secret", "static") == text
    assert static_key(b"secret", "tls-crypt") != text
    assert static_key(b"another", "static") != text


def test_static_key_refuses_ciphers_that_need_tls() -> None:
    assert mistakes("p2p-static-key", options={"cipher": "AES-128-CBC"}) == []
    assert len(mistakes("p2p-static-key", options={"cipher": "AES-256-GCM"})) == 1
    assert mistakes("p2p-static-key", options={"data-ciphers": ["AES-256-GCM"]}) == ["no such option"]


def test_deprecated_modes_have_a_reason() -> None:
    deprecated = {name for name, mode in modes().items() if mode.traits.deprecated}
    assert deprecated == {"p2p-static-key", "shared-iroute"}
    assert "forward secrecy" in modes()["p2p-static-key"].traits.deprecated


# --- tls-crypt-v2 ------------------------------------------------------------------------------------------


def decoded(text: str, end: str) -> bytes:
    first, *body, last = text.splitlines()
    assert first == f"-----BEGIN OpenVPN tls-crypt-v2 {end} key-----"
    assert last == f"-----END OpenVPN tls-crypt-v2 {end} key-----"
    assert max(map(len, body)) == 64
    return base64.b64decode("".join(body))


def test_tls_crypt_v2_client_key_is_unwrapped_with_the_server_key() -> None:
    """Unwraps the key by steps 1 to 6 for a server in tls-crypt-v2.txt."""
    server = decoded(tls_crypt_v2_server(b"secret"), "server")
    client = decoded(tls_crypt_v2_client(b"secret", "branch", made_at=1_700_000_000.5), "client")
    assert len(server) == 128
    key, wrapped = client[:256], client[256:]
    assert int.from_bytes(wrapped[-2:], "big") == len(wrapped) == 32 + 256 + 9 + 2
    tag, hidden, length = wrapped[:32], wrapped[32:-2], wrapped[-2:]
    decryptor = Cipher(AES256(server[:32]), CTR(tag[:16])).decryptor()
    plain = decryptor.update(hidden) + decryptor.finalize()
    assert hmac.digest(server[64:96], length + plain, "sha256") == tag
    assert plain == key + b"\x01" + (1_700_000_000).to_bytes(8, "big")
    assert key not in wrapped


def test_tls_crypt_v2_clients_of_one_server_have_different_keys(authority: Authority) -> None:
    one, other = of_mode("tap", options={"tls-crypt-v2": True}).tunnels
    path = PurePosixPath("tls-crypt-v2.key")
    files = [rendered(authority, tunnel) for tunnel in (one, other)]
    server = {end["server"][str(processes(one)["server"].files / path)].content for end in files}
    assert len(server) == 1, "the second tunnel's rendering overwrites the first's"
    keys = [
        end["client"][str(processes(tunnel)["client"].files / path)].content
        for tunnel, end in zip((one, other), files, strict=True)
    ]
    assert decoded(keys[0], "client")[:256] != decoded(keys[1], "client")[:256]


# --- one process for many clients ---------------------------------------------------------------------------


@pytest.mark.parametrize("shared", ["tap", "dco"])
def test_shared_server_is_rendered_identically_for_each_tunnel(authority: Authority, shared: str) -> None:
    tunnels = load("tap-hub", tunnel={"mode": shared}).tunnels
    path = f"/etc/openvpn/server/hub-{shared}.conf"
    files = [rendered(authority, tunnel)["server"] for tunnel in tunnels]
    assert len({found[path].content for found in files}) == 1
    server = directives(files[0][path].content)
    assert "verify-x509-name" not in server, "it has more clients than one"
    folder = server["client-config-dir"][0][0]
    assert [f"{folder}/{t.client}" in found for t, found in zip(tunnels, files, strict=True)] == [True, True]
    assert not any("iroute" in found.content for one in files for found in one.values())
    given = files[1][f"{folder}/spoke2"].content.splitlines()
    assert given == [
        "ifconfig-push 10.255.0.3 255.255.255.0",
        "ifconfig-ipv6-push 2001:db8:ff00::3/64 2001:db8:ff00::1",
    ]


def test_tap_sets_client_to_client_and_dco_does_not(authority: Authority) -> None:
    assert "client-to-client" in configured(authority, first_tunnel("tap"))[0]
    server, client = configured(authority, first_tunnel("dco"))
    assert not {"client-to-client", "fragment", "compress"} & (server.keys() | client.keys())
    assert server["topology"] == [["subnet"]]


def test_dco_refuses_other_versions_and_ciphers() -> None:
    assert modes()["dco"].traits.kernel == "ovpn"
    assert mistakes("dco", openvpn="2.7") == []
    assert mistakes("dco", openvpn="2.6") == ["OpenVPN 2.6 cannot run the mode dco"]
    assert len(mistakes("dco", options={"data-ciphers": ["AES-256-CBC"]})) == 1


def test_client_limits_need_mode_server(authority: Authority, mode: str) -> None:
    limits = {"max-clients": 7, "duplicate-cn": True}
    if not modes()[mode].traits.mode_server:
        assert mistakes(mode, options=limits) == ["no such option", "no such option"]
        return
    server, client = configured(authority, first_tunnel(mode, options=limits))
    assert (server["max-clients"], server["duplicate-cn"]) == ([["7"]], [[]])
    assert not {"max-clients", "duplicate-cn"} & client.keys()
    plain, _ = configured(authority, first_tunnel(mode))
    assert not {"max-clients", "duplicate-cn"} & plain.keys()
    assert mistakes(mode, options={"max-clients": 0}) == ["Input should be greater than or equal to 1"]
