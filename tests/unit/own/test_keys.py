"""Keys of the user's processes: what is at hand is used, and the rest is issued."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.core.errors import InputError
from lab.own import keys
from lab.own.draft import Draft
from lab.own.issuing import issue
from lab.own.material import is_issued_by, is_static_key, match
from lab.own.overrides import Overrides
from lab.topology.own import Issue
from lab.tunnel.keyfiles import static_key, tls_crypt_v2_server
from lab.tunnel.pki import Authority, Credentials, Validity
from tests.helpers.drafts import draft

SERVER = "dev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\ncert server.crt\nkey server.key\ndh dh.pem\n"
CLIENT = "client\ndev tun\nremote 192.0.2.1\nca ca.crt\ncert client.crt\nkey client.key\n"
OURS = Authority.new("the lab")
THEIRS = Authority.new("the user")


def planned(server: Draft, *clients: Draft) -> dict[str, keys.Keys]:
    return keys.plan([server, *clients], [(server, client) for client in clients])


def deployed(directory: Path, plans: Mapping[str, keys.Keys], *drafts: Draft) -> dict[str, Path]:
    """Issue what plans say and return the root of each node."""
    roots = {d.node: directory / "nodes" / d.node for d in drafts}
    processes: list[Any] = [SimpleNamespace(node=d.node, issues=plans[d.name].overrides.issues) for d in drafts]
    topology: Any = SimpleNamespace(processes=processes)
    issue(topology, OURS, roots)
    return roots


def issues(plan: keys.Keys) -> dict[str, Issue]:
    return {str(i.path): i for i in plan.overrides.issues}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def authorities(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_missing_files_are_issued_under_their_names_without_an_argument(tmp_path: Path) -> None:
    server = draft(tmp_path, "hq", SERVER + "remote-cert-tls client\ncrl-verify crl.pem\ntls-auth ta.key 0\n")
    client = draft(
        tmp_path,
        "branch",
        CLIENT + 'verify-x509-name "vpn.example.org" name\nremote-cert-tls server\ntls-auth ta.key 1\n',
    )
    plans = planned(server, client)
    assert plans["hq-office"].overrides.arguments == ()
    assert plans["hq-office"].overrides.commented == ()
    assert plans["hq-office"].common_name == "vpn.example.org"
    roots = deployed(tmp_path, plans, server, client)
    home = roots["hq"] / "etc" / "openvpn"
    assert {p.name for p in home.iterdir()} == {"ca.crt", "server.crt", "server.key", "dh.pem", "crl.pem", "ta.key"}
    assert (home / "ta.key").read_text() == (roots["branch"] / "etc/openvpn/ta.key").read_text()
    assert is_static_key((home / "ta.key").read_bytes())
    assert {oct(p.stat().st_mode & 0o777) for p in home.iterdir() if p.suffix == ".key"} == {"0o600"}
    issued = certificate(home / "server.crt")
    assert issued.subject.rfc4514_string() == "CN=vpn.example.org"
    assert match(issued, load_pem_private_key((home / "server.key").read_bytes(), None))
    usages = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [usage.dotted_string for usage in usages] == ["1.3.6.1.5.5.7.3.1"]
    assert is_issued_by(issued, *authorities(roots["branch"] / "etc/openvpn/ca.crt"))


def with_keys(directory: Path, one: Credentials, other: Credentials) -> tuple[Draft, Draft]:
    """Return a server and a client with their keys, and the same authority, at hand."""
    server = draft(
        directory, "hq", SERVER.replace("dh dh.pem", "dh none"),
        {"ca.crt": THEIRS.certificate, "server.crt": one.certificate, "server.key": one.key},
    )  # fmt: skip
    client = draft(
        directory, "branch", CLIENT,
        {"ca.crt": THEIRS.certificate, "client.crt": other.certificate, "client.key": other.key},
    )  # fmt: skip
    return server, client


def test_keys_at_hand_are_used(tmp_path: Path) -> None:
    one, other = THEIRS.issue("vpn", "server"), THEIRS.issue("branch-1", "client")
    plans = planned(*with_keys(tmp_path, one, other))
    assert plans["hq-office"] == keys.Keys(Overrides(), "vpn")
    assert plans["branch-office"] == keys.Keys(Overrides(), "branch-1")


def test_certificate_without_its_key_is_issued_anew_and_the_peer_trusts_both_authorities(tmp_path: Path) -> None:
    one, other = THEIRS.issue("vpn", "server"), THEIRS.issue("branch-1", "client")
    server = draft(
        tmp_path, "hq", SERVER.replace("dh dh.pem", "dh none"),
        {"ca.crt": THEIRS.certificate, "server.crt": one.certificate, "server.key": one.key},
    )  # fmt: skip
    client = draft(tmp_path, "branch", CLIENT, {"ca.crt": THEIRS.certificate, "client.crt": other.certificate})
    plans = planned(server, client)
    assert plans["branch-office"].common_name == "branch-1"
    assert plans["branch-office"].overrides.arguments == ("--cert", "/etc/openvpn/lab/branch-office.crt")
    assert plans["hq-office"].overrides.arguments == ("--ca", "/etc/openvpn/lab/hq-office.ca.crt")
    (told,) = plans["branch-office"].overrides.remarks
    assert (told.kind, told.place) == ("issued", "branch/etc/openvpn/office.conf:5")
    assert told.what == "the key is not at hand: the lab issues a certificate for branch-1 with a new key"
    roots = deployed(tmp_path, plans, server, client)
    subjects = [c.subject.rfc4514_string() for c in authorities(roots["hq"] / "etc/openvpn/lab/hq-office.ca.crt")]
    assert subjects == ["CN=the user", "CN=the lab"]
    issued = certificate(roots["branch"] / "etc/openvpn/lab/branch-office.crt")
    assert match(issued, load_pem_private_key((roots["branch"] / "etc/openvpn/client.key").read_bytes(), None))
    assert sorted(p.name for p in (roots["branch"] / "etc/openvpn").iterdir()) == ["client.key", "lab"]


@pytest.mark.parametrize("why", ["mismatch", "expired", "junk", "encrypted"])
def test_unusable_certificate_or_key_is_replaced_with_the_reason(tmp_path: Path, why: str) -> None:
    now = datetime.now(UTC)
    old = Validity(now - timedelta(days=20), now - timedelta(days=2))
    good = THEIRS.issue("branch-1", "client", old if why == "expired" else None)
    key = {"mismatch": THEIRS.issue("x", "client").key, "junk": "REDACTED\n", "expired": good.key}.get(why, good.key)
    if why == "encrypted":
        key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
    server = draft(tmp_path, "hq", SERVER)
    client = draft(tmp_path, "branch", CLIENT, {"client.crt": good.certificate, "client.key": key})
    plan = planned(server, client)["branch-office"]
    assert plan.common_name == "branch-1"
    assert plan.overrides.arguments[:4] == (
        "--cert", "/etc/openvpn/lab/branch-office.crt", "--key", "/etc/openvpn/lab/branch-office.key",
    )  # fmt: skip
    expected = {
        "mismatch": "the key is not the one of the certificate",
        "expired": "the certificate has expired on",
        "junk": "the key cannot be read, or has been removed",
        "encrypted": "the passphrase of the key is not at hand",
    }
    assert plan.overrides.remarks[0].what.startswith(expected[why])


def test_redacted_blocks_are_replaced_by_arguments(tmp_path: Path) -> None:
    blocks = "".join(f"<{name}>\nREDACTED\n</{name}>\n" for name in ("ca", "cert", "key", "tls-auth"))
    client = draft(tmp_path, "branch", "client\ndev tun\nremote 192.0.2.1\nkey-direction 1\n" + blocks)
    server = draft(tmp_path, "hq", SERVER + "tls-auth ta.key 0\n", {"ta.key": static_key(b"theirs", "ta")})
    plans = planned(server, client)
    home = "/etc/openvpn/lab/branch-office"
    assert plans["branch-office"].overrides.arguments == (
        "--cert", f"{home}.crt", "--key", f"{home}.key", "--ca", f"{home}.ca.crt",
        "--tls-auth", f"{home}.tls-auth.1.key",
    )  # fmt: skip
    assert plans["branch-office"].common_name == "branch"
    roots = deployed(tmp_path, plans, server, client)
    copied = roots["branch"] / f"{home}.tls-auth.1.key".lstrip("/")
    assert copied.read_text() == static_key(b"theirs", "ta")
    assert copied.stat().st_mode & 0o777 == 0o600


def test_key_in_a_block_is_copied_to_the_other_end(tmp_path: Path) -> None:
    key = static_key(b"theirs", "p2p")
    one = draft(tmp_path, "hq", f"dev tun\nifconfig 10.8.0.1 10.8.0.2\n<secret>\n{key}</secret>\n")
    other = draft(tmp_path, "branch", "dev tun\nremote 192.0.2.1\nifconfig 10.8.0.2 10.8.0.1\nsecret static.key\n")
    plans = planned(one, other)
    assert plans["hq-office"].overrides == Overrides()
    assert "hq-office (hq/etc/openvpn/office.conf:3)" in plans["branch-office"].overrides.remarks[0].what
    roots = deployed(tmp_path, plans, one, other)
    assert (roots["branch"] / "etc/openvpn/static.key").read_text() == key
    assert "BEGIN OpenVPN" not in repr(plans)


def test_key_of_a_connection_block_is_commented_out(tmp_path: Path) -> None:
    text = "client\ndev tun\n<connection>\nremote 192.0.2.1\n<tls-crypt>\n...\n</tls-crypt>\n</connection>\n"
    client = draft(tmp_path, "branch", text)
    plan = planned(draft(tmp_path, "hq", SERVER + "tls-crypt tc.key\n"), client)["branch-office"]
    assert [spot.line for spot in plan.overrides.commented] == [5]
    assert plan.overrides.arguments == ("--tls-crypt", "/etc/openvpn/lab/branch-office.tls-crypt.1.key")


def test_client_keys_of_tls_crypt_v2_are_wrapped_with_the_users_server_key(tmp_path: Path) -> None:
    server = draft(tmp_path, "hq", SERVER + "tls-crypt-v2 v2.key\n", {"v2.key": tls_crypt_v2_server(b"theirs")})
    client = draft(tmp_path, "branch", CLIENT + "tls-crypt-v2 mine.key\n")
    plans = planned(server, client)
    found = issues(plans["branch-office"])["/etc/openvpn/mine.key"]
    assert (found.kind, found.source) == ("tls-crypt-v2-client", tmp_path / "hq/etc/openvpn/v2.key")
    roots = deployed(tmp_path, plans, server, client)
    assert "tls-crypt-v2 client key" in (roots["branch"] / "etc/openvpn/mine.key").read_text()
    (tmp_path / "hq/etc/openvpn/v2.key").unlink()
    with pytest.raises(InputError, match=r"v2\.key: No such file"):
        deployed(tmp_path, plans, server, client)


def test_new_server_key_of_tls_crypt_v2_replaces_the_keys_of_all_clients(tmp_path: Path) -> None:
    server = draft(tmp_path, "hq", SERVER + "tls-crypt-v2 v2.key\n")
    clients = [draft(tmp_path, n, CLIENT + "tls-crypt-v2 mine.key\n") for n in ("east", "west")]
    plans = planned(server, *clients)
    roots = deployed(tmp_path, plans, server, *clients)
    east, west = ((roots[n] / "etc/openvpn/mine.key").read_text() for n in ("east", "west"))
    assert east != west


def test_names_of_clients_are_those_in_client_config_dir(tmp_path: Path) -> None:
    files = {f"ccd/{name}": "iroute 192.168.1.0 255.255.255.0\n" for name in ("east", "site-2", "south")}
    server = draft(tmp_path, "hq", SERVER + "client-config-dir ccd\n", files)
    east = draft(tmp_path, "east", CLIENT)
    west = draft(tmp_path, "west", CLIENT.replace("client.", "site-2."))
    other = draft(tmp_path, "other", CLIENT)
    plans = planned(server, east, west, other)
    names = [plans[d.name].common_name for d in (east, west, other)]
    assert names == ["east", "site-2", "other"]


def test_only_name_in_client_config_dir_is_that_of_the_only_client(tmp_path: Path) -> None:
    server = draft(tmp_path, "hq", SERVER + "client-config-dir ccd\n", {"ccd/filiale": ""})
    assert planned(server, draft(tmp_path, "branch", CLIENT))["branch-office"].common_name == "filiale"


@pytest.mark.parametrize(
    ("asked", "subject"),
    [
        ("verify-x509-name C=DE,\\ O=Example,\\ CN=vpn subject", "CN=vpn,O=Example,C=DE"),
        ('verify-x509-name "C=DE, O=Example, CN=vpn"', "CN=vpn,O=Example,C=DE"),
        ("verify-x509-name srv- name-prefix", "CN=srv-hq"),
        ("verify-x509-name ser name-prefix", "CN=server"),
    ],
)
def test_subject_is_the_one_that_the_other_end_verifies(tmp_path: Path, asked: str, subject: str) -> None:
    server = draft(tmp_path, "hq", SERVER)
    client = draft(tmp_path, "branch", CLIENT + asked + "\n")
    roots = deployed(tmp_path, planned(server, client), server, client)
    assert certificate(roots["hq"] / "etc/openvpn/server.crt").subject.rfc4514_string() == subject


def test_usages_are_those_that_the_other_end_verifies(tmp_path: Path) -> None:
    server = draft(tmp_path, "hq", SERVER + "tls-cipher TLS-DHE-RSA-WITH-AES-256-GCM-SHA384\n")
    client = draft(
        tmp_path, "branch", CLIENT + "remote-cert-ku e0 a8\nremote-cert-eku 1.2.3.4.5\nns-cert-type server\n"
    )
    roots = deployed(tmp_path, planned(server, client), server, client)
    found = certificate(roots["hq"] / "etc/openvpn/server.crt").extensions
    usage = found.get_extension_for_class(x509.KeyUsage).value
    assert usage.content_commitment
    assert usage.key_encipherment
    extended = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [oid.dotted_string for oid in extended] == ["1.3.6.1.5.5.7.3.1", "1.2.3.4.5"]
    assert certificate(roots["branch"] / "etc/openvpn/client.crt").public_key().key_size == 2048  # type: ignore[union-attr]


def test_pkcs12_is_issued_with_the_authority(tmp_path: Path) -> None:
    server = draft(tmp_path, "hq", SERVER)
    client = draft(tmp_path, "branch", "client\ndev tun\nremote 192.0.2.1\npkcs12 me.p12\n")
    plans = planned(server, client)
    assert plans["branch-office"].overrides.arguments == ()
    roots = deployed(tmp_path, plans, server, client)
    path = roots["branch"] / "etc/openvpn/me.p12"
    key, own, others = pkcs12.load_key_and_certificates(path.read_bytes(), None)
    assert own is not None
    assert match(own, key)
    assert [c.subject.rfc4514_string() for c in others] == ["CN=the lab"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_keys_in_tokens_are_replaced(tmp_path: Path) -> None:
    client = draft(
        tmp_path, "branch",
        "client\ndev tun\nremote 192.0.2.1\nca ca.crt\npkcs11-providers /usr/lib/p11.so\npkcs11-id 'abc'\n",
    )  # fmt: skip
    plan = planned(draft(tmp_path, "hq", SERVER), client)["branch-office"]
    assert [spot.line for spot in plan.overrides.commented] == [5, 6]
    assert plan.overrides.arguments[0::2] == ("--cert", "--key")


def test_credentials_are_issued_where_openvpn_would_ask(tmp_path: Path) -> None:
    server = draft(
        tmp_path, "hq", SERVER + "verify-client-cert none\nusername-as-common-name\nclient-config-dir ccd\n",
        {"ccd/alice": ""},
    )  # fmt: skip
    text = "client\ndev tun\nremote 192.0.2.1\nca ca.crt\nauth-user-pass\naskpass\n"
    client = draft(tmp_path, "laptop", text)
    plans = planned(server, client)
    assert plans["laptop-office"].common_name == "alice"
    assert plans["laptop-office"].overrides.arguments == (
        "--auth-user-pass", "/etc/openvpn/lab/laptop-office.credentials",
    )  # fmt: skip
    assert [spot.line for spot in plans["laptop-office"].overrides.commented] == [6]
    roots = deployed(tmp_path, plans, server, client)
    path = roots["laptop"] / "etc/openvpn/lab/laptop-office.credentials"
    assert path.read_text().splitlines()[0] == "alice"
    assert path.stat().st_mode & 0o777 == 0o600


def test_processes_of_a_node_that_share_a_certificate_get_the_same(tmp_path: Path) -> None:
    servers = [draft(tmp_path, "hq", SERVER + f"port {port}\n", file=f"s{port}") for port in (1194, 1195)]
    clients = [draft(tmp_path, n, CLIENT + "verify-x509-name vpn name\n") for n in ("east", "west")]
    plans = keys.plan([*servers, *clients], list(zip(servers, clients, strict=True)))
    assert [plans[d.name].common_name for d in (*servers, *clients)] == ["vpn", "vpn", "east", "west"]
    roots = deployed(tmp_path, plans, *servers, *clients)
    home = roots["hq"] / "etc/openvpn"
    assert match(certificate(home / "server.crt"), load_pem_private_key((home / "server.key").read_bytes(), None))


def test_expired_list_of_revoked_certificates_is_replaced(tmp_path: Path) -> None:
    server = draft(tmp_path, "hq", SERVER + "crl-verify crl.pem\n", {"crl.pem": THEIRS.revocation_list()})
    client = draft(tmp_path, "branch", CLIENT)
    assert "--crl-verify" not in planned(server, client)["hq-office"].overrides.arguments
    (tmp_path / "hq/etc/openvpn/crl.pem").write_text("junk")
    assert planned(server, client)["hq-office"].overrides.arguments[:2] == (
        "--crl-verify", "/etc/openvpn/lab/hq-office.crl.pem",
    )  # fmt: skip


NAMES = st.sampled_from(
    [
        "ca", "cert", "key", "dh", "crl-verify", "tls-auth", "tls-crypt", "tls-crypt-v2", "secret", "pkcs12", "askpass",
        "auth-user-pass", "extra-certs", "capath", "peer-fingerprint", "verify-x509-name", "remote-cert-ku",
        "tls-cipher",
        "remote-cert-eku", "remote-cert-tls", "client-config-dir", "username-as-common-name", "management", "cd",
        "http-proxy", "pkcs11-id", "server", "client", "tls-server", "ifconfig-pool-persist", "chroot",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "", "a.crt", "../../../../etc/passwd", "/etc/shadow", "[inline]", "none", "dir", "name", "subject",
        "name-prefix",
        "stdin", "1", "zz", "C=DE,CN=x", "ccd", "\x00", "a" * 100, "127.0.0.1", "/", ".", "é",
    ]
)  # fmt: skip
LINES = st.lists(st.tuples(NAMES, st.lists(WORDS, max_size=4)), max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=LINES, other=LINES, inline=st.lists(st.tuples(NAMES, st.text(max_size=40)), max_size=3))
def test_any_configuration_ends_in_a_plan_or_an_input_error(
    tmp_path: Path, one: list[Any], other: list[Any], inline: list[tuple[str, str]]
) -> None:
    texts = ["\n".join(" ".join([name, *words]) for name, words in lines) for lines in (one, other)]
    blocks = "".join(f"\n<{name}>\n{text}\n</{name}>\n" for name, text in inline)
    try:
        drafts = [draft(tmp_path, node, text + blocks) for node, text in zip(("hq", "branch"), texts, strict=True)]
        plans = planned(*drafts)
    except InputError:
        return
    for plan in plans.values():
        for found in plan.overrides.issues:
            assert found.path.is_absolute()
            assert found.source is None or found.source.is_relative_to(tmp_path)


@pytest.mark.parametrize("name", ["../../../../../../../tmp/escaped", "//tmp/escaped", "/etc/x/../../tmp/escaped"])
def test_issued_files_stay_below_the_nodes_directory(tmp_path: Path, name: str) -> None:
    server = draft(tmp_path, "hq", SERVER.replace("ca.crt", name))
    plans = planned(server, draft(tmp_path, "branch", CLIENT))
    assert "/tmp/escaped" in issues(plans["hq-office"])
    roots = deployed(tmp_path, plans, server)
    assert (roots["hq"] / "tmp/escaped").exists()
    assert not Path("/tmp/escaped").exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "/bin/sh", "/proc/version", "/", "/usr/lib/x.so", "/dev/null"])
def test_files_of_the_system_are_not_replaced_in_a_node(tmp_path: Path, name: str) -> None:
    server = draft(tmp_path, "hq", SERVER.replace("ca.crt", name))
    plan = planned(server, draft(tmp_path, "branch", CLIENT))["hq-office"]
    assert plan.overrides.arguments == ("--ca", "/etc/openvpn/lab/hq-office.ca.crt")
    assert name not in issues(plan)


def test_certificate_of_a_strange_authority_is_used_with_a_remark(tmp_path: Path) -> None:
    one, other = OURS.issue("vpn", "server"), THEIRS.issue("branch-1", "client")
    plans = planned(*with_keys(tmp_path, one, other))
    assert plans["hq-office"].overrides == Overrides()
    assert plans["branch-office"].overrides.arguments == ()
    (told,) = plans["branch-office"].overrides.remarks
    assert told.what.startswith("none of its authorities has issued the certificate of hq-office: it refuses it")
