"""Random files give findings, or one line with the place that cannot be read, never a traceback."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.advise import advise, subjects_of_files
from lab.core.errors import InputError
from tests.helpers.samples import SAMPLES

quick = settings(max_examples=75, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

ANY = "0.0.0.0"  # noqa: S104 - a network, and not a socket's
WORDS = [
    "mode", "server", "tls-server", "client", "dev", "tun", "tap", "topology", "net30", "iroute", ANY, "::/0",
    "iroute-ipv6", "push", '"iroute 0.0.0.0 0.0.0.0"', "remote", "fe80::1%x", "198.51.100.1", "keepalive", "10", "-1",
    "99999999999999999999", "²", "max-clients", "1", "duplicate-cn", "client-config-dir", ".", "/", "client-connect",
    "secret", "<ca>", "</ca>", "<connection>", "</connection>", "config", "openvpn.conf", "stdin", "cd", '""', "'", '"',
    "\\", "#", ";", "\n", "\n", "\n", "\r", "\0", "\x1b[31m", "\ufeff", "ifconfig", "255.0.255.0", "10.0.0.1", "secret",
    "data-ciphers", "compress", "proto", "tcp", "route", "net_gateway", "ping-restart", "verify-x509-name",
]  # fmt: skip
FRR = [
    "frr defaults", "router bgp", "65001", "\n", "\n", "\n", "neighbor", "10.0.0.2", "remote-as", "external", "timers",
    "3", "9", "99999999999999999999", "²", "peer-group", "G", "address-family", "ipv4", "unicast", "ipv6", "l2vpn",
    "exit", "exit-address-family", "no", "activate", "prefix-list", "P", "in", "route-map", "M", "permit", "deny", "10",
    "match", "ip", "address", "ip prefix-list P", "seq", "le", "ge", "any", "0.0.0.0/0", "::/0", "ip route", "bgp",
    "ebgp-requires-policy", "default", "ipv4-unicast", "interface", "datacenter", "traditional", "\x1b",
    "!", "fe80::1%x",
]  # fmt: skip


def judged(*contents: bytes) -> None:
    """Advise on files, and check that all findings are printable."""
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory, name) for name in ("openvpn.conf", "frr.conf")][: len(contents)]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        try:
            findings = advise(subjects_of_files(files))
        except InputError as error:
            texts = [str(error)]
        else:
            texts = [finding.why for finding in findings]
            assert all(spot.line >= 1 for finding in findings for spot in finding.lines)
        assert all(line.isprintable() for line in texts)


@quick
@given(st.binary(max_size=400))
def test_advise_of_random_octets(content: bytes) -> None:
    judged(content)
    judged(b"dev tun\n" + content)


@quick
@given(st.lists(st.sampled_from(WORDS), max_size=60), st.lists(st.sampled_from(FRR), max_size=60))
def test_advise_of_random_words(openvpn: list[str], frr: list[str]) -> None:
    judged(("dev tun\n" + " ".join(openvpn)).encode(), ("frr defaults x\n" + " ".join(frr)).encode())


@quick
@given(st.data())
def test_advise_of_samples_with_random_lines(data: st.DataObject) -> None:
    samples = [p for p in sorted(SAMPLES.iterdir()) if p.is_file()]
    lines = [line for p in samples if "frr" not in p.name for line in p.read_text().splitlines()]
    frr_lines = [line for p in samples if "frr" in p.name for line in p.read_text().splitlines()]
    openvpn = data.draw(st.lists(st.sampled_from(lines), max_size=40))
    frr = data.draw(st.lists(st.sampled_from(frr_lines), max_size=40))
    judged("\n".join(["dev tun", *openvpn]).encode(), "\n".join(["router bgp 1", *frr]).encode())
