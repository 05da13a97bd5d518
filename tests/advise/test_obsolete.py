"""The rule `obsolete` against the programs: each line in a file, started with it in a node.

A file is exposed if OpenVPN ends at the line, or its log says of the option that it is old or ignored.
"""

from pathlib import PurePosixPath

import pytest

from lab.advise import RULES, Subject, Verdict
from lab.configs.openvpn.configuration import parse
from lab.runtime.lab import Lab
from tests.helpers.tried import ended_early, old_options, run

pytestmark = [pytest.mark.docker, pytest.mark.topology("p2p-tls")]

LINES = (
    *("keysize 256", "ncp-disable", "ncp-ciphers AES-256-GCM", "no-iv", "no-replay", "key-method 2", "tls-remote x"),
    *(
        "cipher AES-256-CBC",
        "cipher aes-256-gcm",
        "cipher BF-CBC",
        "cipher CHACHA20-POLY1305",
        "data-ciphers AES-128-GCM",
    ),
    *("cipher AES-256-CBC\ndata-ciphers AES-256-GCM", "cipher AES-256-CBC\ndata-ciphers AES-256-GCM:AES-256-CBC"),
    *("ns-cert-type server", "remote-cert-tls client", "verify-hash " + ":".join(["00"] * 20), "compat-names"),
    *("max-routes 100", "max-routes-per-client 100", "tun-ipv6", "fast-io", "persist-key", "persist-tun", "passtos"),
    *("link-mtu 1400", "tun-mtu 1400", "mssfix 1300", "opt-verify", "ecdh-curve secp384r1", "tls-groups secp384r1"),
    *("prng SHA1 16", "engine", "auth SHA256", "auth MD4", "tls-cipher DEFAULT", "iproute /sbin/ip", "mtu-dynamic"),
    *("ifconfig-pool-linear", "comp-lzo", "comp-lzo adaptive", "memstats /tmp/memstats", "mute-replay-warnings"),
    *("reneg-sec 0", "auth-nocache", "client-to-client", "duplicate-cn", "float", "no-name-remapping"),
)


@pytest.mark.parametrize("role", ["server", "client"])
def test_verdict_is_what_openvpn_says(lab: Lab, role: str) -> None:
    compare(lab, role)


@pytest.mark.thorough  # builds one more image
@pytest.mark.topology("p2p-tls", openvpn="2.6.3")
def test_verdict_is_what_openvpn_2_6_3_says(lab: Lab) -> None:
    compare(lab, "server")


@pytest.mark.thorough
@pytest.mark.topology("p2p-tls", openvpn="2.5")
def test_verdict_is_what_openvpn_2_5_says(lab: Lab) -> None:
    compare(lab, "server")


def compare(lab: Lab, role: str) -> None:
    (rule,) = (rule for rule in RULES if rule.name == "obsolete")
    with lab.tunnel("branch", "hq").server.management() as management:
        version = management.version()
    base = {"server": "server 10.99.0.0 255.255.255.0\n", "client": "client\n"}[role]
    plain = run(lab, role, "")
    assert not ended_early(plain), plain
    seen, wrong = set(), []
    for lines in LINES:
        text = parse(f"{base}{lines}\n", PurePosixPath("/tmp/try.conf"))
        judgement = rule.judge(Subject("try", text, openvpn=version))
        log = run(lab, role, lines)
        options = {line.split()[0] for line in lines.splitlines()}
        if role == "client" and ended_early(log) and any("requires --mode server" in line for line in log):
            continue
        old = ended_early(log) or bool(old_options(log, options) - old_options(plain, options))
        seen.add(judgement.verdict)
        if old != (judgement.verdict is Verdict.EXPOSED):
            more = [line for line in log if line[20:] not in {usual[20:] for usual in plain}]
            wrong.append(f"{lines}: {judgement.verdict} ({judgement.why}), and the log says {more}")
    assert not wrong, "\n".join(wrong)
    assert seen == {Verdict.EXPOSED, Verdict.NOT_EXPOSED}
