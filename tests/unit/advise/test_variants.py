"""`lab advise` on one network in many spellings: every way of naming neighbours counts, of each daemon and protocol.

A case in `spellings.txt` begins with `== VERDICTS NAME`, and each of its files with `-- FILE`, followed by `crlf` for
such line ends and by `bom` for a byte order mark. The verdicts are those on the rules in `JUDGED`, in their order: `E`
for exposed, `N` for not exposed, `?` for cannot tell. Files in a directory or with the ending `.inc` are not given to
`lab advise`, because other files name them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.advise import Verdict, advise, subjects_of_files
from lab.core.errors import LabError
from tests.helpers.samples import SAMPLES

JUDGED = ("no-iroute", "ebgp-policy", "hold-time", "dead-interval", "recursive-routing")
LETTERS = {Verdict.EXPOSED: "E", Verdict.NOT_EXPOSED: "N", Verdict.CANNOT_TELL: "?"}
COMMON = {
    "@SERVER": "dev tun0\nserver 10.8.0.0 255.255.255.0\ntopology subnet\ndisable-dco\nca ca\ncert c\nkey k\ndh none\n"
    "keepalive 10 60\n",
    "@CLIENT": "client\ndev tun0\nremote 198.51.100.1 1194\nnobind\ndisable-dco\nca ca\ncert c\nkey k\n",
    "@KERNEL": "protocol device {}\nprotocol kernel { ipv4 { export all; }; }\n",
}
"""The text that a word on a line is replaced by."""


@dataclass(frozen=True)
class Variant:
    """Files, and what is right about them."""

    name: str
    verdicts: str
    files: dict[str, bytes]


def variants() -> list[Variant]:
    found = []
    for case in re.split(r"^== ", (SAMPLES / "spellings.txt").read_text(), flags=re.MULTILINE)[1:]:
        head, *files = re.split(r"^-- ", case, flags=re.MULTILINE)
        verdicts, name = head.split()
        found.append(Variant(name, verdicts, dict(map(content, files))))
    return found


def content(text: str) -> tuple[str, bytes]:
    """Return a file's name and content."""
    head, _, rest = text.partition("\n")
    for word, meaning in COMMON.items():
        rest = rest.replace(f"{word}\n", meaning)
    name, *options = head.split()
    rest = rest.replace("\n", "\r\n") if "crlf" in options else rest
    return name, (("\ufeff" if "bom" in options else "") + rest).encode()


@pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.name)
def test_spelling_does_not_change_what_is_judged(variant: Variant, tmp_path: Path) -> None:
    for name, octets in variant.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(octets)
    given = [tmp_path / name for name in variant.files if "/" not in name and not name.endswith(".inc")]
    found = {finding.rule: finding for finding in advise(subjects_of_files(given, "2.6"))}
    verdicts = "".join(LETTERS[found[rule].verdict] for rule in JUDGED)
    assert verdicts == variant.verdicts, [f"{rule}: {found[rule].why}" for rule in JUDGED]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "branch",
            "ifconfig-push 10.8.0.2 255.255.255.0\niroute 10.2.0.0 255.255.255.0\n",
            "whose client-config-dir has",
        ),
        (
            "bgpd.conf",
            "hostname bgpd\nrouter bgp 65001\n neighbor 10.8.0.2 remote-as 65002\n",
            "no OpenVPN configuration",
        ),
        ("m.conf", "management 127.0.0.1 7505\nmanagement-hold\n", "options of management only"),
        ("f.conf", "auth SHA256\npersist-tun\n", "a part of a configuration of OpenVPN"),
        ("x.sh", "#!/bin/sh\nopenvpn --dev tun0 --secret k\n", "a script, not a configuration"),
        (
            "u.service",
            "[Unit]\nDescription=x\n[Service]\nExecStart=/usr/sbin/openvpn --config /etc/openvpn/x.conf\n",
            "a unit of systemd",
        ),
        ("config", "config openvpn 'hq'\n\toption enabled '0'\n\toption dev 'tun0'\n", "openvpn 'hq' is not enabled"),
        (
            "config",
            "config openvpn own\n\toption enabled 1\n\toption config /etc/openvpn/my.conf\n",
            "OpenWrt starts /etc/openvpn/my.conf",
        ),
    ],
)
def test_file_without_a_tunnel_is_named_as_what_it_is(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LabError, match=re.escape(message)):
        subjects_of_files([tmp_path / name])
