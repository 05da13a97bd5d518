"""Own files with `chroot`, and files that OpenVPN would ask for at a console: the same paths, and no question."""

import re
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.openvpn.configuration import parse
from lab.own.overrides import SCRIPTED
from lab.runtime.lab import Lab
from lab.tunnel.pki import Authority
from tests.helpers.two_hosts import expect_log, two_hosts

pytestmark = pytest.mark.docker

THEIRS = Authority.new("Example CA")
BRANCH = THEIRS.issue("branch-1", "client")
INSIDE = IPv4Address("10.8.0.1")
SERVER = """port 1194
proto udp
dev tun
topology subnet
server 10.8.0.0 255.255.255.0
keepalive 1 4
verb 3
dh none
ca ca.crt
cert server.crt
key server.key
chroot jail
crl-verify crl.pem
client-config-dir /ccd
tmp-dir t
persist-tun
"""
CLIENT = """client
dev tun
proto udp
remote 192.0.2.1 1194
nobind
verb 3
connect-retry 1
ca ca.crt
cert client.crt
key client.key
"""
SCRIPT = '#!/bin/sh\necho "$script_type $PWD" >> /var/log/openvpn/really.log\n'


def files(*revoked: str) -> dict[str, str | bytes]:
    server = THEIRS.issue("vpn", "server")
    home, jail = "hq/etc/openvpn", "hq/etc/openvpn/jail"
    return {
        **{f"{home}/{name}": text for name, text in (("server.crt", server.certificate), ("server.key", server.key))},
        **{f"{node}/etc/openvpn/ca.crt": THEIRS.certificate for node in ("hq", "branch")},
        "branch/etc/openvpn/client.crt": BRANCH.certificate,
        "branch/etc/openvpn/client.key": BRANCH.key,
        f"{jail}/crl.pem": THEIRS.revocation_list(*([BRANCH] if "branch-1" in revoked else [])),
        f"{jail}/ccd/branch-1": "ifconfig-push 10.8.0.77 255.255.255.0\n",
        f"{jail}/l.sh": SCRIPT,
        # Files of the same names outside of the jail, which OpenVPN does not read:
        f"{home}/crl.pem": THEIRS.revocation_list(BRANCH),
        f"{home}/ccd/branch-1": "disable\n",
    }


def expect_up(lab: Lab) -> None:
    lab.host("branch").expect_reaches(INSIDE, within=60)
    assert "10.8.0.77" in lab.host("branch").exec("ip", "-4", "address", "show", "dev", "tun0").stdout


def root_of(lab: Lab) -> str:
    """Return the root directory of the server's process, from its node."""
    (pid,) = lab.host("hq").exec("pidof", "openvpn").stdout.split()
    return lab.host("hq").exec("readlink", f"/proc/{pid}/root").stdout.strip()


def test_files_in_the_jail_have_effect(tmp_path: Path) -> None:
    with two_hosts(tmp_path, SERVER, CLIENT, files()) as lab:
        expect_up(lab)
        assert root_of(lab) == "/etc/openvpn/jail"


def test_client_that_the_jails_list_revokes_is_refused(tmp_path: Path) -> None:
    with two_hosts(tmp_path, SERVER, CLIENT, files("branch-1"), wait=False) as lab:
        expect_log(lab, "server", "certificate revoked")
        assert lab.host("branch").echo(INSIDE, count=1, wait=0.5).silent


@pytest.mark.parametrize("run", [False, True])
def test_files_in_the_jail_have_effect_also_where_scripts_do_without_it(tmp_path: Path, run: bool) -> None:
    server = SERVER + "script-security 2\nlearn-address l.sh\n"
    with two_hosts(tmp_path, server, CLIENT, files(), run_scripts=run) as lab:
        expect_up(lab)
        assert root_of(lab) == "/"
        (told,) = (r for r in lab.topology.remarks if "'chroot'" in r.what)
        assert (told.kind, told.place) == ("override", "hq/etc/openvpn/server.conf:12")
        logs = tmp_path / "lab/nodes/hq/var/log/openvpn"
        assert (logs / "really.log").exists() is run
    revoking = files("branch-1")
    with two_hosts(tmp_path / "revoked", server, CLIENT, revoking, run_scripts=run, wait=False) as lab:
        expect_log(lab, "server", "certificate revoked")


def test_missing_list_is_issued_in_the_jail(tmp_path: Path) -> None:
    at_hand = files()
    del at_hand["hq/etc/openvpn/jail/crl.pem"]
    with two_hosts(tmp_path, SERVER, CLIENT, at_hand) as lab:
        expect_up(lab)
    at_hand["hq/etc/openvpn/jail/crl.pem"] = "junk"
    with two_hosts(tmp_path / "junk", SERVER, CLIENT, at_hand) as lab:
        expect_up(lab)
        assert root_of(lab) == "/etc/openvpn/jail"


@pytest.mark.topology("p2p-tls")
def test_openvpn_looks_for_the_same_files_in_its_jail(lab: Lab) -> None:
    """Each option with a file that is not there: OpenVPN names the path at which it looked."""
    node = lab.running("hq")
    jail = node.root / "tmp" / "jail"
    jail.mkdir()
    found, expected = {}, {}
    for option in (*SCRIPTED, "crl-verify", "client-config-dir", "tmp-dir", "tls-export-cert"):
        more = " via-file" if option == "auth-user-pass-verify" else ""
        text = "dev tun\nserver 10.9.0.0 255.255.255.0\nca /dev/null\ncert /dev/null\nkey /dev/null\ndh none\n"
        text += f"chroot /tmp/jail\nscript-security 2\n{option} /absent{more}\n"
        (node.root / "tmp" / "jail.conf").write_text(text)
        result = node.exec("timeout", "20", "openvpn", "--cd", "/tmp", "--config", "/tmp/jail.conf")
        named = re.search(r"fails with '([^']*absent)'", result.stdout + result.stderr)
        if named:  # of some options it does not check the file
            found[option] = re.sub("/+", "/", named[1])
            expected[option] = str(parse(text, PurePosixPath("/tmp/jail.conf")).locate(option, "/absent"))
    assert found == expected
    assert {"/absent", "/tmp/jail/absent"} == set(found.values())
    assert len(found) > 10


CONSOLE = """auth-user-pass stdin
askpass stdin
management-query-passwords
management-hold
<connection>
remote 192.0.2.1 3128 tcp
http-proxy 192.0.2.1 3129 stdin basic
</connection>
<connection>
remote 192.0.2.1 1194 udp
</connection>
"""


def ask_nothing(directory: Path, version: str) -> None:
    server = SERVER.partition("chroot")[0] + "verify-client-cert none\nusername-as-common-name\n"
    server += "plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login\n"
    client = CLIENT.replace("remote 192.0.2.1 1194\n", "").replace("proto udp\n", "")
    client = client.partition("cert ")[0] + CONSOLE + "connect-timeout 2\nserver-poll-timeout 2\n"
    with two_hosts(directory, server, client, version=version) as lab:
        lab.host("branch").expect_reaches(INSIDE, within=60)
        process = lab.tunnel("branch", "hq").client
        assert process.log_lines("Attempting to establish TCP connection with [AF_INET]192.0.2.1:3129")
        issued = [r.place for r in lab.topology.remarks if r.kind == "issued" and r.node == "branch"]
        lines = client.splitlines()
        told = {lines[int(place.rpartition(":")[2]) - 1].split()[0] for place in issued}
        assert {"auth-user-pass", "http-proxy"} <= told


def test_no_password_is_asked_for_at_a_console(tmp_path: Path) -> None:
    ask_nothing(tmp_path, "2.7")


@pytest.mark.thorough  # builds one more image
@pytest.mark.parametrize("version", ["2.5", "2.6.3", "2.6"])
def test_no_password_is_asked_for_by_other_versions(tmp_path: Path, version: str) -> None:
    ask_nothing(tmp_path, version)
