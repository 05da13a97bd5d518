"""The reader of OpenVPN's configurations, held against the parsers of OpenVPN 2.6 and 2.7.

Each case is a configuration that OpenVPN parses and does not run. The reader has to accept what the program accepts,
and to see the same words: `echo msg …` prints them.
"""

import random
import re
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Disk, Unreadable
from lab.configs.openvpn.configuration import read
from lab.configs.openvpn.options import ARGUMENTS, refusals
from lab.configs.openvpn.versions import judge
from lab.image import VERSIONS
from tests.helpers.parser import MAIN, Case, Verdict, verdicts

pytestmark = pytest.mark.docker

PIECES = (
    "a", "b", '"', "'", "\\", " ", "\t", "#", ";", "\\\\", '\\"', "\\ ", "x y", "--", "<", ">", "é", "\r", "\v",
    '"q r"', "'s t'", "\\n", "\\'",
)  # fmt: skip
TEXTS = (
    # bytes before, after and between words
    "dev tun\n", "\ufeffdev tun\n", "verb 3\n\ufeffdev tun\n", "dev tun\r\n\r\n", "dev\ttun\n", "dev\vtun\f\n", "",
    "\n",
    "DEV tun\n", "--dev tun\n", "---dev tun\n", "--\n", "-- dev\n", "a=b\n", "sérver x\n", "@\n", "dev tun\0foo\n",
    "\0\0\0\n", "# \0 foo\n",
    # unknown options
    "foo\n", "setenv opt foo bar\n", "setenv opt\n", "setenv opt @ x\n", "setenv FORWARD_COMPATIBLE 1\nfoo bar\n",
    "foo\nsetenv FORWARD_COMPATIBLE 1\n", "setenv FORWARD_COMPATIBLE 1\ndev\n",
    "ignore-unknown-option foo bar\nfoo 1\nbar\n", "foo\nignore-unknown-option foo\n",
    "ignore-unknown-option --foo\nfoo\n", "ignore-unknown-option dev\ndev a b c\n",
    # blocks
    "<ca>\nx\n</ca>\n", "<ca>\nx\n", "<CA>\nx\n</CA>\n", "  <ca>  \nx\n  </ca> junk\n", "<ca> # c\nx\n</ca>\n",
    "<ca>x\n</ca>\n", "<verb>\n3\n</verb>\n", "<>\nx\n</>\n", "<foo>\nx\n</foo>\n", "--<ca>\nx\n</ca>\n",
    '"<ca>"\nx\n</ca>\n', "</ca>\n", "<ca\n", "<\n", ">\n", "<ca>\n" + "x" * 600 + "\n</ca>\n",
    "<connection>\nremote a 1194\n</connection>\n", "<connection>\nremote a 1194\ndev tun\n</connection>\n",
    "<connection>\nremote a\n<connection>\nremote b\n</connection>\n</connection>\n",
    "<connection>\nfoo\n</connection>\n",
    "<connection>\nremote a\\\n</connection>\n", "<connection>\nconfig x\n</connection>\n",
    "<connection>\n</connection>\n",
    "<connection>\n<tls-auth>\nx\n</tls-auth>\nremote a\n</connection>\n",
    "<connection>\nremote a\n<ca>\nx\n</ca>\n</connection>\n", "connection a\n",
    "<connection>\nremote a # c\n; x\n\n</connection>\n",
    # numbers of arguments
    "dev\n", "dev a b\n", "client x\n", "server 10.0.0.0\n", "server 10.0.0.0 255.255.255.0 nopool\n",
    "push route 10.0.0.0 255.0.0.0\n", 'push "route 10.0.0.0 255.0.0.0"\n', "local a 1 udp\n", "crl-verify x dir\n",
    "multihome same-interface\n", 'static-challenge "Code" 1\n', "dhcp-option DOMAIN a b\n",
    # lengths
    *("#" * length + end for length in range(253, 258) for end in ("", "\n", "\r\n")),
    "dev tun " + " " * 246 + "\n", "dev tun " + " " * 247 + "\n", "# " + "é" * 126 + "\n", "# " + "é" * 127 + "\n",
    "<connection>\nremote a\n#" + "x" * 300 + "\n</connection>\n",
    "echo msg " + " ".join(map(str, range(30))) + "\n", "echo msg " + " ".join(map(str, range(14))) + ' "unclosed\n',
    "echo msg " + " ".join(map(str, range(13))) + ' "unclosed\n',
    # includes
    "config other.conf\n", "config\n", "config a b\n", "config missing.conf\n", "setenv opt config other.conf\n",
    "config main.conf\n",
    # options of other versions and systems
    "keysize 128\n", "block-outside-dns\n", "setenv opt block-outside-dns\n", "route-table 5\n", "memstats x\n",
    "ncp-disable\n", "tls-remote x\n", "comp-lzo\n", "ncp-ciphers AES-256-GCM\n",
    "server 10.0.0.0 255.0.0.0\nclient-cert-not-required\n",
    "no-replay\n", "mtu-dynamic\n",
)  # fmt: skip
FILES = sorted((Path(__file__).parents[1] / "data" / "configs" / "profiles").iterdir())
OTHER = {"other.conf": b"\xef\xbb\xbfverb 3\n"}


def generated(seed: int, count: int) -> list[Case]:
    """Return files of one or two lines, made of words, quotes, backslashes and space."""
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        lines = [
            f"echo msg {''.join(chance.choices(PIECES, k=chance.randrange(1, 9)))}"
            for _ in range(chance.choice((1, 2)))
        ]
        texts.append("\n".join(lines) + chance.choice(("\n", "", "\r\n")))
    return [{MAIN: text.encode()} for text in texts]


def chain(length: int) -> Case:
    """Return a file that includes another one, and so on."""
    names = [MAIN, *(f"{number}.conf" for number in range(length))]
    return {name: f"config {names[at + 1]}\n".encode() if at < length else b"verb 1\n" for at, name in enumerate(names)}


CASES: list[Case] = [
    *({MAIN: text.encode(), **OTHER} for text in TEXTS),
    *({MAIN: file.read_bytes()} for file in FILES),
    *({MAIN: b"# " + b"\xe9" * length + b"\n"} for length in (240, 252, 253)),
    *(chain(length) for length in (8, 9, 10)),
    {MAIN: b"config x.conf\n", "x.conf": b"<ca>\n"},
    {MAIN: b"config x.conf\n<ca>\n", "x.conf": b"</ca>\n"},
    *generated(seed=17, count=150),
]


def disagreement(case: Case, verdict: Verdict, version: str, place: Path) -> str | None:
    """Return how reader and program differ."""
    place.mkdir()
    for name, content in case.items():
        (place / name).write_bytes(content)
    try:
        found = read(PurePosixPath("/main.conf"), Disk(place))
    except Unreadable as error:
        return f"the program accepts, the reader says {error}" if verdict.accepted else None
    refused = [f"{directive.spot}: {why}" for directive, why in refusals(found, version)]
    refused += [str(judgement) for judgement in judge(found, version) if judgement.effect == "refused"]
    if verdict.accepted == bool(refused):
        return f"the program accepts: {verdict.accepted} ({verdict.output[:200]}), the reader refuses {refused}"
    echoed = [" ".join(directive.arguments) for directive in found.all("echo")]
    if verdict.accepted and printable(echoed) != printable(verdict.echoed):
        return f"the program reads {verdict.echoed}, the reader {echoed}"
    return None


def printable(lines: list[str]) -> list[str]:
    # A log has each line break in a word as the end of a line.
    return [re.sub("[\0-\x1f]", "", line) for line in lines]


@pytest.mark.parametrize("version", VERSIONS)
def test_reader_accepts_what_openvpn_accepts_and_sees_the_same_words(version: str, tmp_path: Path) -> None:
    found = verdicts(version, CASES)
    assert 0 < sum(verdict.accepted for verdict in found) < len(CASES)
    differences = {
        str(case[MAIN][:100]): difference
        for number, (case, verdict) in enumerate(zip(CASES, found, strict=True))
        if (difference := disagreement(case, verdict, version, tmp_path / str(number)))
    }
    assert not differences


@pytest.mark.parametrize("version", VERSIONS)
def test_every_option_with_too_few_or_too_many_arguments_is_unknown_to_openvpn(version: str, tmp_path: Path) -> None:
    """All in one file: after FORWARD_COMPATIBLE OpenVPN warns of each line that it does not know, and goes on."""
    counts = [
        (name, count)
        for (least, greatest), names in ARGUMENTS.items()
        for name in names
        for count in ((least - 1,) if greatest is None else (least - 1, greatest + 1))
        if count >= 0
    ]
    lines = [" ".join((name, *["1"] * count)) for name, count in counts]
    (tmp_path / MAIN).write_text("\n".join(lines) + "\n")
    refused = {d.spot.line for d, _ in refusals(read(PurePosixPath("/main.conf"), Disk(tmp_path)), version)}
    text = "\n".join(line for number, line in enumerate(lines, 1) if number in refused)
    case = {MAIN: f"setenv FORWARD_COMPATIBLE 1\n{text}\n".encode()}
    (verdict,) = verdicts(version, [case])
    warned = {int(number) for number in re.findall(r"in main\.conf:(\d+):", verdict.output)}
    assert verdict.accepted
    assert {line for number, line in enumerate(text.split("\n"), 2) if number not in warned} == set()
    assert len(refused) > 400
