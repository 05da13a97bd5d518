"""Hostile files given to `lab validate`, `lab advise` and `lab import`: one sentence, exit code 2, nothing written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.paper import Program

HIDDEN = "hidden-7f3a"  # in files outside of the tree
TOPOLOGY = """\
name: x
topology:
  defaults: {{kind: linux, image: "openvpn-routing-lab/node:2.6"}}
  nodes:
    a: {{config: {{vars: {keys}}}}}
    b: {{}}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
"""
OPENVPN = "{{openvpn: [{{config: {file}}}]}}"
FRR = "{{router: {{daemon: frr, config: {file}}}}}"
BIRD = "{{router: {{daemon: bird, config: {file}}}}}"


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 << 20)


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def octets(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


BAD: dict[str, Callable[[Path], object]] = {
    "large": large,
    "pipe": os.mkfifo,
    "directory": Path.mkdir,
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "junk": octets(bytes(range(256)) * 64),
    "nul": octets(b"\0" * 4096),
    "utf-16": octets("dev tun\n".encode("utf-16")),
    "gzip": octets(b"\x1f\x8b\x08\x00\x00\x00\x00\x00" + b"\xff" * 100),
    "cycle": text("dev tun\nconfig bad.conf\n"),
    "include of a secret": text("dev tun\nconfig ../outside/secret\n"),
    "include of the host": text("dev tun\nconfig /etc/shadow\n"),
    "include of a device": text("dev tun\nconfig /dev/zero\n"),
    "long line": text("dev tun\nremote " + "a" * 100_000 + "\n"),
    "open quote": text('dev tun\nremote "a\n'),
    "open block": text("dev tun\n<ca>\n" + "A" * 100_000),
    "deep braces": text("protocol bgp x {\n" * 5_000),
    "deep brackets": text("router id 192.0.2.1;\nfilter f { if " + "(" * 50_000),
    "include of itself": text('router id 192.0.2.1;\ninclude "bad.conf";\nprotocol bgp x { }\n'),
    "deep config.boot": text("interfaces {\n    openvpn vtun0 {\n" + "a {\n" * 5_000),
    "deep config.xml": text("<pfsense>" + "<a>" * 20_000),
    "entities": text('<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "' + "c" * 1000 + '">]>\n<pfsense>&b;</pfsense>'),
    "words without end": text("config openvpn 'a'\n\toption b 'c\n" + "d\n" * 20_000),
}


@pytest.fixture
def home(lab: Program) -> Path:
    """The working directory, beside a directory with a secret."""
    home = lab.directory / "work"
    home.mkdir()
    (lab.directory / "outside").mkdir()
    (lab.directory / "outside" / "secret").write_text(f"{HIDDEN}\n")
    os.chdir(home)  # restored by the fixture `lab`
    return home


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Return all files below a directory with their sizes and times."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def check_refusal(lab: Program, *argv: str) -> str:
    """Run a command that fails with one sentence and writes nothing; return the sentence."""
    before = snapshot(lab.directory)
    result = lab(*argv)
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].isprintable()
    assert len(lines[0]) < 1000
    assert "Traceback" not in result.output
    assert HIDDEN not in result.output
    assert "root:" not in result.output
    assert snapshot(lab.directory) == before
    return lines[0]


@pytest.mark.parametrize("what", BAD)
def test_advise_refuses_with_one_sentence(what: str, lab: Program, home: Path) -> None:
    BAD[what](home / "bad.conf")
    assert "bad.conf" in check_refusal(lab, "advise", "--config", "bad.conf")


@pytest.mark.parametrize("keys", [OPENVPN, FRR, BIRD], ids=["openvpn", "frr", "bird"])
@pytest.mark.parametrize("what", BAD)
def test_validate_refuses_with_one_sentence(what: str, keys: str, lab: Program, home: Path) -> None:
    BAD[what](home / "bad.conf")
    (home / "x.clab.yml").write_text(TOPOLOGY.format(keys=keys.format(file="bad.conf")))
    assert "bad.conf" in check_refusal(lab, "validate", "x.clab.yml")


@pytest.mark.parametrize("what", BAD)
def test_import_refuses_or_asks(what: str, lab: Program, home: Path) -> None:
    (home / "hq").mkdir()
    BAD[what](home / "hq" / "bad.conf")
    before = snapshot(lab.directory)
    result = lab("import", "hq=hq", "--out", "mine.clab.yml")
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert HIDDEN not in result.output
    assert "root:" not in result.output
    assert all(line.isprintable() for line in result.stderr.splitlines())
    assert snapshot(lab.directory) == before


@pytest.mark.parametrize("name", ["../../outside/secret", "/etc/shadow", "link", "/proc/self/environ"])
def test_import_does_not_read_files_out_of_the_hosts_directory(name: str, lab: Program, home: Path) -> None:
    tree = home / "hq" / "etc" / "openvpn"
    tree.mkdir(parents=True)
    (tree / "link").symlink_to(lab.directory / "outside" / "secret")
    (tree / "server.conf").write_text(
        f"dev tun\nserver 10.8.0.0 255.255.255.0\nca {name}\ncert {name}\nkey {name}\ndh none\n"
        f"client-config-dir {name}\nauth-user-pass-verify {name} via-env\ntls-auth {name}\n"
    )
    outside = snapshot(lab.directory / "outside")
    result = lab("import", "hq=hq", "--out", "mine.clab.yml", "--assume")
    assert result.exit_code == 0, result.output
    assert HIDDEN not in result.output
    written = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(
        HIDDEN in path.read_text(errors="replace") or "root:" in path.read_text(errors="replace") for path in written
    )
    assert snapshot(lab.directory / "outside") == outside


def test_ten_thousand_neighbours_are_judged(lab: Program, home: Path) -> None:
    (home / "server.conf").write_text("dev tun\nserver 10.0.0.0 255.0.0.0\n")
    neighbours = "".join(f" neighbor 10.{n >> 8}.{n & 255}.1 remote-as {64512 + n % 1000}\n" for n in range(10_000))
    (home / "frr.conf").write_text(f"router bgp 65000\n{neighbours}")
    result = lab("advise", "--config", "server.conf", "--config", "frr.conf", "--json")
    assert result.exit_code == 1, result.output
    assert result.stderr == ""


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    start=st.sampled_from(
        [b"", b"dev tun\n", b"client\n", b"router bgp 1\n", b"config openvpn 'a'\n", b"<pfsense>", b"{"]
    ),
    content=st.binary(max_size=200),
    how=st.sampled_from(["advise", "openvpn", "frr", "bird"]),
)
def test_any_file_ends_with_a_result_or_one_sentence(
    start: bytes, content: bytes, how: str, lab: Program, home: Path
) -> None:
    (home / "any.conf").write_bytes(start + content)
    if how == "advise":
        result = lab("advise", "--config", "any.conf")
    else:
        keys = {"openvpn": OPENVPN, "frr": FRR, "bird": BIRD}[how].format(file="any.conf")
        (home / "x.clab.yml").write_text(TOPOLOGY.format(keys=keys))
        result = lab("validate", "x.clab.yml")
    assert result.exit_code in (0, 1, 2)
    assert not isinstance(result.exception, Exception)
    if result.exit_code == 2:
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.strip().isprintable()
