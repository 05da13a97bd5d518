"""Keys, scripts and overrides of the user's own files, on real OpenVPN: the tunnel comes up and carries packets."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.tunnel.keyfiles import static_key, tls_crypt_v2_server
from lab.tunnel.pki import Authority, Credentials
from tests.helpers.two_hosts import expect_log, two_hosts

pytestmark = pytest.mark.docker

VERSIONS = pytest.mark.parametrize("version", ["2.6", "2.7"])
FILES = "ca ca.crt\ncert {0}.crt\nkey {0}.key\n"
SERVER = (
    "port 1194\nproto udp\ndev tun\ntopology subnet\nserver 10.8.0.0 255.255.255.0\nkeepalive 10 60\nverb 3\ndh none\n"
)
CLIENT = "client\ndev tun\nproto udp\nremote 192.0.2.1 1194\nnobind\nverb 3\n"
INSIDE = IPv4Address("10.8.0.1")
THEIRS = Authority.new("Example CA")


def expect_up(lab: Lab) -> None:
    """Expect packets through the tunnel: the server's inner address answers."""
    branch = lab.host("branch")
    wait_for(
        Expectation(
            what="the server to answer through the tunnel",
            node="branch",
            look=lambda: branch.echo(INSIDE, count=1),
            met=lambda echo: bool(echo.answered),
            logs=lab.tunnel("branch", "hq").client.log,
        ),
        within=60,
    )


def at_hand(node: str, name: str, credentials: Credentials, *, key: bool = True) -> dict[str, str]:
    home = f"{node}/etc/openvpn"
    files = {f"{home}/ca.crt": THEIRS.certificate, f"{home}/{name}.crt": credentials.certificate}
    return {**files, f"{home}/{name}.key": credentials.key} if key else files


@VERSIONS
def test_missing_keys_are_issued_as_the_files_ask_for_them(tmp_path: Path, version: str) -> None:
    server = SERVER.replace("dh none", "dh dh2048.pem") + FILES.format("server")
    server += "remote-cert-tls client\ntls-auth ta.key 0\ncrl-verify crl.pem\nverify-x509-name site- name-prefix\n"
    client = CLIENT + FILES.format("client") + "remote-cert-tls server\ntls-auth ta.key 1\n"
    client += 'verify-x509-name "C=DE, O=Example, CN=vpn.example.org"\n'
    with two_hosts(tmp_path, server, client, version=version) as lab:
        expect_up(lab)
        expect_log(lab, "client", "VERIFY X509NAME OK: C=DE, O=Example, CN=vpn.example.org")
        expect_log(lab, "server", "VERIFY X509NAME OK: CN=site-branch")
        assert not lab.topology.processes[0].arguments[0].startswith("--ca")


def test_certificate_at_hand_is_used_and_refused_as_on_the_hosts(tmp_path: Path) -> None:
    server = SERVER + FILES.format("server")
    client = CLIENT + FILES.format("client") + "verify-x509-name vpn name\n"
    files = at_hand("branch", "client", THEIRS.issue("branch", "client"))
    wrong = at_hand("hq", "server", THEIRS.issue("other", "server"))
    right = at_hand("hq", "server", THEIRS.issue("vpn", "server"))
    with two_hosts(tmp_path / "wrong", server, client, {**files, **wrong}, wait=False) as lab:
        expect_log(lab, "client", "VERIFY X509NAME ERROR: other")
        assert lab.host("branch").echo(INSIDE, count=1, wait=0.5).silent
    with two_hosts(tmp_path / "right", server, client, {**files, **right}) as lab:
        expect_up(lab)
        assert not [remark for remark in lab.topology.remarks if remark.kind in ("override", "issued")]


@VERSIONS
def test_certificate_whose_key_is_missing_is_issued_and_trusted_beside_the_users_authority(
    tmp_path: Path, version: str
) -> None:
    files = {
        **at_hand("hq", "server", THEIRS.issue("vpn", "server")),
        **at_hand("branch", "client", THEIRS.issue("branch-1", "client"), key=False),
    }
    server, client = SERVER + FILES.format("server"), CLIENT + FILES.format("client") + "remote-cert-tls server\n"
    with two_hosts(tmp_path, server, client, files, version=version) as lab:
        expect_up(lab)
        expect_log(lab, "client", "VERIFY OK: depth=1, CN=Example CA")
        expect_log(lab, "server", "VERIFY OK: depth=0, CN=branch-1")


@VERSIONS
def test_redacted_profile_connects(tmp_path: Path, version: str) -> None:
    blocks = "".join(f"<{name}>\n[redacted]\n</{name}>\n" for name in ("ca", "cert", "key"))
    client = CLIENT.replace("remote 192.0.2.1 1194\nnobind\n", "") + blocks
    client += "<connection>\nremote 192.0.2.1 1194\nnobind\n<tls-crypt>\n[redacted]\n</tls-crypt>\n</connection>\n"
    server = SERVER + FILES.format("server") + "tls-crypt tc.key\n"
    files = {"hq/etc/openvpn/tc.key": static_key(b"theirs", "tc")}
    with two_hosts(tmp_path, server, client, files, version=version) as lab:
        expect_up(lab)
        key = tmp_path / "lab/nodes/branch/etc/openvpn/lab/branch-client.tls-crypt.1.key"
        assert key.read_text() == files["hq/etc/openvpn/tc.key"]
        assert key.stat().st_mode & 0o777 == 0o600


def test_no_private_key_is_in_the_topology_or_a_diagnosis(tmp_path: Path) -> None:
    theirs = THEIRS.issue("branch-1", "client")
    key = static_key(b"theirs", "ta")
    client = (
        CLIENT + f"<ca>\n{THEIRS.certificate}</ca>\n<cert>\n{theirs.certificate}</cert>\n<key>\n{theirs.key}</key>\n"
    )
    client += f"key-direction 1\n<tls-auth>\n{key}</tls-auth>\nauth-user-pass pw.txt\ndaemon\n"
    server = SERVER + FILES.format("server") + "tls-auth static.pem 0\n"
    files = {"hq/etc/openvpn/static.pem": key, "branch/etc/openvpn/pw.txt": "alice\nthe-password\n"}
    with two_hosts(tmp_path, server, client, files) as lab:
        expect_up(lab)
        folder = lab.diagnose(tmp_path / "diagnosis")
        texts = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        texts[tmp_path / "topology.json"] = (tmp_path / "lab" / "topology.json").read_bytes()
        secrets = [theirs.key.splitlines()[1], key.splitlines()[5], "the-password"]
        assert not [path for path, text in texts.items() for secret in secrets if secret.encode() in text]
        assert any(path.name == "client.conf" for path in texts)
        assert any(path.suffix == ".log" for path in texts)


@VERSIONS
def test_other_kinds_of_keys_are_issued(tmp_path: Path, version: str) -> None:
    server = SERVER.replace("dh none", "dh dh.pem") + "pkcs12 server.p12\ntls-crypt-v2 v2.key\ntls-version-max 1.2\n"
    server += "tls-cipher TLS-DHE-RSA-WITH-AES-256-GCM-SHA384\nremote-cert-ku e0\nns-cert-type client\n"
    client = CLIENT + "pkcs12 client.p12\nca ca.crt\ntls-crypt-v2 mine.key\nremote-cert-tls server\n"
    files = {"hq/etc/openvpn/v2.key": tls_crypt_v2_server(b"theirs")}
    with two_hosts(tmp_path, server, client, files, version=version) as lab:
        expect_up(lab)
        expect_log(lab, "server", "peer certificate: 2048 bits RSA")


def test_pkcs12_file_at_hand_is_used(tmp_path: Path) -> None:
    theirs = THEIRS.issue("branch-1", "client")
    bundle = pkcs12.serialize_key_and_certificates(
        b"branch",
        load_pem_private_key(theirs.key.encode(), None),  # type: ignore[arg-type]
        load_pem_x509_certificate(theirs.certificate.encode()),
        [load_pem_x509_certificate(THEIRS.certificate.encode())],
        NoEncryption(),
    )
    files = {"branch/etc/openvpn/me.p12": bundle}
    with two_hosts(tmp_path, SERVER + FILES.format("server"), CLIENT + "pkcs12 me.p12\n", files) as lab:
        expect_up(lab)
        expect_log(lab, "server", "VERIFY OK: depth=1, CN=Example CA")


def test_static_key_of_one_end_is_given_to_the_other(tmp_path: Path) -> None:
    key = static_key(b"theirs", "p2p")
    server = f"dev tun\nproto udp\nifconfig 10.8.0.1 10.8.0.2\ncipher AES-256-CBC\n<secret>\n{key}</secret>\n"
    client = "dev tun\nproto udp\nremote 192.0.2.1\nifconfig 10.8.0.2 10.8.0.1\ncipher AES-256-CBC\nsecret static.key\n"
    with two_hosts(tmp_path, server, client, version="2.6") as lab:
        expect_up(lab)


@VERSIONS
def test_process_runs_as_the_lab_can_run_it(tmp_path: Path, version: str) -> None:
    server = SERVER + FILES.format("server")
    server += (
        "user openvpn\ngroup openvpn\npersist-tun\ndaemon\nlog /var/log/openvpn.log\nsyslog\nmlock\nmanagement-hold\n"
    )
    server += "status /var/log/vpn/status.log\nwritepid /run/vpn/hq.pid\nmachine-readable-output\nregister-dns\n"
    client = CLIENT + FILES.format("client") + "chroot /var/lib/jail\nuser nobody\npersist-tun\n"
    with two_hosts(tmp_path, server, client, version=version) as lab:
        expect_up(lab)
        owner = lab.host("hq").exec("ps", "-o", "user=", "-C", "openvpn").stdout.split()
        assert owner == ["nobody"]
        places = [remark.place for remark in lab.topology.remarks if remark.kind == "override"]
        lines = server.splitlines()
        named = [lines[int(place.rpartition(":")[2]) - 1].split()[0] for place in places if place.startswith("hq/")]
        assert sorted(named) == [
            "daemon", "group", "log", "machine-readable-output", "management-hold", "mlock", "register-dns", "syslog",
            "user",
        ]  # fmt: skip


def test_arguments_of_the_hosts_unit_are_applied(tmp_path: Path) -> None:
    drop_in = "hq/etc/systemd/system/openvpn@server.service.d/port.conf"
    command = "/usr/sbin/openvpn --daemon ovpn-%i --verb 5 --config /etc/openvpn/%i.conf --port 443 --up up.sh"
    files = {drop_in: f"[Service]\nExecStart=\nExecStart={command}\n", "hq/etc/openvpn/up.sh": SCRIPT}
    server = SERVER + FILES.format("server") + "script-security 2\n"
    client = CLIENT.replace("1194", "443") + FILES.format("client")
    with two_hosts(tmp_path, server, client, files) as lab:
        expect_up(lab)
        (pid,) = lab.host("hq").exec("pidof", "openvpn").stdout.split()
        argv = lab.host("hq").exec("cat", f"/proc/{pid}/cmdline").stdout.split("\0")
        assert argv.index("--verb") < argv.index("--config") < argv.index("--port") < argv.index("--up")
        assert argv.count("--daemon") == 0
        assert [r.place for r in lab.topology.remarks if r.kind == "unit"] == [f"{drop_in}:3"] * 3
        calls = (tmp_path / "lab/nodes/hq/var/log/openvpn/hq-server.scripts.log").read_text()
        assert "up tun0 1500" in calls


SCRIPT = '#!/bin/sh\necho "$script_type $dev" >> /var/log/openvpn/really.log\n'


@VERSIONS
def test_scripts_are_stubs_unless_they_are_run(tmp_path: Path, version: str) -> None:
    server = SERVER + FILES.format("server") + "script-security 2\nup 'up.sh one'\nlearn-address learn.sh\n"
    files = {"hq/etc/openvpn/up.sh": SCRIPT}
    client = CLIENT + FILES.format("client")
    for run in (False, True):
        with two_hosts(tmp_path / str(run), server, client, files, version=version, run_scripts=run) as lab:
            expect_up(lab)
            logs = tmp_path / str(run) / "lab/nodes/hq/var/log/openvpn"
            calls = [line.split()[1:4] for line in (logs / "hq-server.scripts.log").read_text().splitlines()]
            assert (["up", "tun0", "1500"] in calls) is not run
            assert any(call[:2] == ["learn-address", "add"] for call in calls)
            assert (logs / "really.log").exists() is run
            assert not run or (logs / "really.log").read_text() == "up tun0\n"


def test_fixed_lines_of_a_client_connect_script_have_effect(tmp_path: Path) -> None:
    server = SERVER + FILES.format("server") + "script-security 2\nclient-connect cc.sh\n"
    files = {"hq/etc/openvpn/cc.sh": "#!/bin/sh\necho 'iroute 192.168.77.0 255.255.255.0' >> $1\n"}
    with two_hosts(tmp_path, server, CLIENT + FILES.format("client"), files) as lab:
        expect_up(lab)
        expect_log(lab, "server", "internal route 192.168.77.0/24 -> branch")


@VERSIONS
def test_users_of_a_plugin_are_admitted_by_a_stub(tmp_path: Path, version: str) -> None:
    server = SERVER + FILES.format("server") + "verify-client-cert none\nusername-as-common-name\n"
    server += "plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login\nclient-config-dir ccd\n"
    client = CLIENT + "ca ca.crt\nauth-user-pass\nstatic-challenge code 1\n"
    files = {"hq/etc/openvpn/ccd/alice": "ifconfig-push 10.8.0.77 255.255.255.0\n"}
    with two_hosts(tmp_path, server, client, files, version=version) as lab:
        expect_up(lab)
        assert "10.8.0.77" in lab.host("branch").exec("ip", "-4", "address", "show", "dev", "tun0").stdout
