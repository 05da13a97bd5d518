"""Hostile texts: the readers of OpenVPN's files and of other systems' end with a result or with one sentence."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.configs.disk import Disk, Unreadable
from lab.configs.forms import FORMS, form_of
from lab.configs.openvpn import configuration as openvpn
from lab.configs.openvpn.client_options import read_client_options
from lab.configs.openvpn.options import refusals
from lab.configs.openvpn.units import starts
from lab.configs.openvpn.versions import judge
from lab.configs.openwrt import uci
from lab.configs.sense import translation as sense
from lab.configs.translated import Translated
from lab.configs.vyos import translation as vyos
from lab.own.hostfiles import HostFiles

DATA = Path(__file__).parents[2] / "data" / "configs"
SIZE = 1 << 18
"""The length of long texts."""
FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def pieces_of(directory: str) -> list[str]:
    """Return the words, lines and separators of sample files."""
    texts = [file.read_text() for file in sorted((DATA / directory).iterdir())]
    lines = [line + "\n" for text in texts for line in text.split("\n")]
    words = [word for line in lines for word in line.replace("<", " <").replace(">", "> ").split()]
    return sorted({*lines, *words, " ", "\n", "'", '"', "{", "}", "\\", "\t", "<", ">", "/", "\0", "\ufeff", "..", "&"})


def texts_like(directory: str) -> st.SearchStrategy[str]:
    """Return texts that are made of pieces of the samples, and samples with a piece put in."""
    pieces = st.one_of(st.sampled_from(pieces_of(directory)), st.text(max_size=5))
    samples = st.sampled_from([file.read_text() for file in sorted((DATA / directory).iterdir())])
    broken = st.tuples(samples, st.integers(0, 4000), st.integers(0, 30), pieces).map(
        lambda of: of[0][: of[1]] + of[3] + of[0][of[1] + of[2] :]
    )
    return st.one_of(st.lists(pieces, max_size=40).map("".join), broken)


def check(translated: Translated) -> None:
    """Check what holds of every translation."""
    for file in translated.files:
        assert file.path.is_absolute()
        assert ".." not in file.path.parts
        assert "\0" not in str(file.path)
        assert len(file.origins) == file.text.count("\n")
    assert all(str(note).isprintable() for note in translated.notes)


def attempt(read: Callable[[], object], start: str = "f:") -> None:
    """Read a text; the only error is one printable sentence that begins with the place."""
    said = start
    try:
        read()
    except Unreadable as error:
        said = str(error)
    assert said.isprintable()
    assert said.startswith(start)
    assert len(said) < 500


@FUZZ
@given(text=texts_like("openwrt"))
def test_any_text_like_uci_ends_with_a_translation_or_a_sentence(text: str) -> None:
    attempt(lambda: check(uci.translate(text, "f")))


@FUZZ
@given(text=texts_like("vyos"))
def test_any_text_like_vyos_ends_with_a_translation_or_a_sentence(text: str) -> None:
    attempt(lambda: check(vyos.translate(text, "f")))


@FUZZ
@given(text=st.one_of(texts_like("pfsense"), texts_like("opnsense")))
def test_any_text_like_config_xml_ends_with_a_translation_or_a_sentence(text: str) -> None:
    attempt(lambda: check(sense.translate(text, "f")))


@FUZZ
@given(text=texts_like("profiles"), version=st.sampled_from(["2.4", "2.6", "2.7.8"]))
def test_any_text_like_a_profile_is_read_or_refused_with_a_sentence(text: str, version: str) -> None:
    def read() -> None:
        found = openvpn.parse(text, PurePosixPath("/f"), Disk(Path("/nonexistent")))
        assert all(why.isprintable() for _, why in refusals(found, version))
        assert all(str(judgement) for judgement in judge(found, version))
        assert found.role in ("server", "client", "peer")
        assert found.transports
        assert len(found.pushed) <= len(found.directives)
        read_client_options(found)

    attempt(read, "/f:")


@FUZZ
@given(octets=st.binary(max_size=300))
def test_any_bytes_have_at_most_one_form(octets: bytes) -> None:
    text = octets.decode(errors="replace")
    form = form_of(text)
    if form:
        attempt(lambda: check(form.translate(text, "f")))


LARGE: dict[str, Callable[[], Iterator[str]]] = {
    "lists": lambda: itertools.chain(
        ["config openvpn 'a'\n", "option enabled 1\n"], itertools.repeat("list push 'x'\n")
    ),
    "sections": lambda: itertools.repeat("config openvpn\noption enabled 1\n"),
    "quotes": lambda: itertools.chain(["config openvpn 'a'\noption b '"], itertools.repeat("x\n")),
    "semicolons": lambda: itertools.chain(["config a b\noption a b\n"], itertools.repeat(";")),
    "neighbours": lambda: (
        f"set protocols bgp 65000 neighbor 10.{n >> 8}.{n & 255}.1 remote-as 1\n" for n in range(65536)
    ),
    "networks": lambda: (f"set interfaces openvpn vtun{n} mode server\n" for n in itertools.count()),
    "one path": lambda: (f"set interfaces openvpn vtun0 server client c{n} ip 10.0.0.1\n" for n in itertools.count()),
    "other lines": lambda: itertools.chain(["set interfaces openvpn vtun0 mode client\n"], itertools.repeat("x\n")),
    "braces": lambda: itertools.chain(["interfaces {\n    openvpn vtun0 {\n"], itertools.repeat("a {\n")),
    "comments": lambda: itertools.chain(["interfaces {\n    openvpn vtun0 {\n"], itertools.repeat("/* x\n")),
    "elements": lambda: itertools.chain(["<pfsense>"], itertools.repeat("<a/>")),
    "depth": lambda: itertools.chain(["<pfsense>"], itertools.repeat("<a>")),
    "servers": lambda: itertools.chain(
        ["<pfsense><openvpn>"], itertools.repeat("<openvpn-server><mode>server_tls</mode></openvpn-server>")
    ),
    "spaces": lambda: itertools.chain(["config a\n"], itertools.repeat(" ")),
    "prompts": lambda: itertools.chain(["set system host-name x\n"], itertools.repeat("#")),
}
"""Texts without end, by what they have too much of."""


@pytest.mark.parametrize("what", LARGE)
def test_long_text_is_translated_or_refused(what: str) -> None:
    parts: list[str] = []
    size = 0
    for part in LARGE[what]():
        size += len(part)
        if size > SIZE:
            break
        parts.append(part)
    text = "".join(parts)
    form = form_of(text)
    if form:
        attempt(lambda: check(form.translate(text, "f")))


def test_files_of_many_overrides_for_many_servers_are_bounded() -> None:
    """Each override is a file for each server, so a short text can stand for many files."""
    servers = "".join(
        f"<openvpn-server><vpnid>{n}</vpnid><mode>server_tls</mode><tunnel_network>10.0.0.0/8</tunnel_network>"
        "</openvpn-server>"
        for n in range(100)
    )
    overrides = "".join(f"<openvpn-csc><common_name>c{n}</common_name></openvpn-csc>" for n in range(300))
    with pytest.raises(Unreadable, match=r"^f:1: more than 10000 files of clients"):
        sense.translate(f"<pfsense><openvpn>{servers}{overrides}</openvpn></pfsense>", "f")


@pytest.mark.parametrize(
    ("translate", "text"),
    [
        (uci.translate, "config openvpn\n" * 101),
        (vyos.translate, "".join(f"set interfaces openvpn vtun{n} mode server\n" for n in range(101))),
        (sense.translate, f"<pfsense><openvpn>{'<openvpn-client/>' * 101}</openvpn></pfsense>"),
    ],
)
def test_more_tunnels_than_any_host_has_are_refused(translate: Callable[[str, str], Translated], text: str) -> None:
    with pytest.raises(Unreadable, match=r"^f:\d+: more than 100 "):
        translate(text, "f")


def test_forms_have_names_for_messages() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)


@pytest.mark.parametrize("disk", [Disk, HostFiles])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pipe", "not a regular file"),
        ("large", "longer than 1048576 bytes, not a configuration"),
        ("loop", "oo many"),
        ("missing", "No such file or directory"),
        ("directory", "regular file"),
        ("a\0b", "null byte"),
        ("x" * 300, "File name too long"),
    ],
)
def test_file_that_is_not_text_is_refused(disk: type[Disk], name: str, why: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(50 << 20)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "directory").mkdir()
    with pytest.raises(Unreadable, match=why) as error:
        disk(tmp_path).text(PurePosixPath("/") / name)
    assert str(error.value).isprintable()


def test_hostile_units_are_ignored(tmp_path: Path) -> None:
    wants = tmp_path / "etc" / "systemd" / "system" / "multi-user.target.wants"
    wants.mkdir(parents=True)
    os.mkfifo(wants / "openvpn-server@a.service")
    drop_ins = wants.parent / "openvpn-server@.service.d"
    drop_ins.mkdir()
    os.mkfifo(drop_ins / "pipe.conf")
    (drop_ins / "quotes.conf").write_text("[Service]\nExecStart='\nWorkingDirectory\n=\n")
    (tmp_path / "etc" / "default").symlink_to("/etc")
    (found,) = starts(HostFiles(root=tmp_path), [PurePosixPath("/etc/openvpn/server/a.conf")])
    assert (found.started, found.arguments) == (True, ())
