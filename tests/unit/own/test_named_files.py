"""Files that come along with a configuration, and copies in which single lines are comments."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from lab.catalogue import load
from lab.configs.disk import Spot
from lab.own.deployment import write_file
from lab.own.draft import Draft
from lab.own.named_files import commented
from lab.own.names import Names
from lab.own.reading import read_drafts
from lab.topology import Topology, parse
from lab.topology.mistakes import Findings
from lab.topology.own import NodeFile

Laid = Callable[..., Topology]


@pytest.fixture
def laid(tmp_path: Path) -> Laid:
    """Return a function that writes files and reads a topology with `hq/server.conf`, without `lab.own`."""
    from lab.catalogue.reader import vocabulary

    def lay(files: dict[str, str], node: str = "") -> Topology:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        text = (
            "name: own\ntopology:\n  nodes:\n    hq: {kind: linux, image: x, network-mode: none, "
            f"{node} config: {{vars: {{openvpn: [{{config: hq/server.conf}}]}}}}}}\n"
        )
        return parse(text, tmp_path / "own.clab.yml", vocabulary())

    return lay


def draft(topology: Topology) -> Draft:
    findings = Findings(topology.file)
    (found,) = read_drafts(topology, findings)
    findings.raise_any()
    return found


def content(file: NodeFile, root: Path) -> str:
    write_file(file, root)
    return (root / file.path.relative_to("/")).read_text()


def test_without_an_override_the_file_itself_is_read(laid: Laid) -> None:
    one = draft(laid({"hq/server.conf": "dev tun\n"}))
    assert commented(one, frozenset()) == (PurePosixPath("/etc/openvpn/server.conf"), ())


def test_an_overridden_line_is_a_comment_in_a_copy_with_the_same_lines(laid: Laid, tmp_path: Path) -> None:
    text = "dev tun\ndaemon\nserver 10.8.0.0 255.255.255.0\n<key>\nsecret\n</key>\nverb 3\n"
    one = draft(laid({"hq/server.conf": text}))
    spots = frozenset(d.spot for d in one.configuration.all("daemon", "key"))
    path, (copy,) = commented(one, spots)
    assert path == copy.path == PurePosixPath("/etc/openvpn/lab/hq-server.conf")
    assert copy.mode == 0o600
    assert copy.text is None  # the key is not in the model
    assert content(copy, tmp_path / "root") == (
        "dev tun\n#daemon\nserver 10.8.0.0 255.255.255.0\n#<key>\n#secret\n#</key>\nverb 3\n"
    )


def test_a_file_that_includes_an_overridden_one_is_copied_too(laid: Laid, tmp_path: Path) -> None:
    one = draft(laid({"hq/server.conf": "dev tun\nconfig more.conf\nverb 3\n", "hq/more.conf": "port 1\ndaemon\n"}))
    path, copies = commented(one, frozenset({Spot("hq/more.conf", 2)}))
    texts = {str(copy.path): content(copy, tmp_path / "root") for copy in copies}
    included = next(name for name in texts if name != str(path))
    assert texts == {str(path): f"dev tun\nconfig {included}\nverb 3\n", included: "port 1\n#daemon\n"}
    assert {copy.given for copy in copies} == {"hq/server.conf", "hq/more.conf"}


def test_a_key_is_never_readable_by_others(tmp_path: Path) -> None:
    source = tmp_path / "a.key"
    source.write_text("secret")
    source.chmod(0o644)
    write_file(NodeFile(path=PurePosixPath("/etc/openvpn/a.key"), source=source, mode=0o600), tmp_path / "root")
    assert (tmp_path / "root/etc/openvpn/a.key").stat().st_mode & 0o777 == 0o600


def test_names_are_those_of_nodes_hosts_files_and_commands(laid: Laid, tmp_path: Path) -> None:
    hosts = "203.0.113.1 vpn.example.com vpn # comment\nnot an address\n2001:db8::1 VPN.example.com\n"
    exec_ = """exec: ["sh -c 'echo 203.0.113.9 other.example.com >> /etc/hosts'"], binds: ["hq/hosts:/etc/hosts:ro"],"""
    topology = laid({"hq/server.conf": "dev tun\n", "hq/hosts": hosts}, exec_)
    names = Names(topology, "hq")
    assert [str(a) for a in names.addresses("vpn.example.com.")] == ["203.0.113.1", "2001:db8::1"]
    assert [str(a) for a in names.addresses("other.example.com")] == ["203.0.113.9"]
    assert [str(a) for a in names.addresses("198.51.100.1")] == ["198.51.100.1"]
    assert names.addresses("unknown.example.com") == []
    topology = load("article")
    assert [str(a) for a in Names(topology, "branch").addresses("hq")][:1] == ["198.51.100.1"]
