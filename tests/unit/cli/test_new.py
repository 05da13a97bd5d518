"""`lab new`: the file, its name, and what is refused."""

from pathlib import Path

import pytest

from lab.catalogue import load
from tests.helpers.paper import Program

SHAPES = {
    "pair": (["pair"], 5),
    "hub": (["hub", "--spokes", "2"], 7),
    "mesh": (["mesh", "3"], 7),
    "chain": (["chain", "2"], 5),
    "ring": (["ring", "3"], 7),
    "dual-homed": (["dual-homed"], 6),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_new_writes_a_topology_named_after_its_shape(lab: Program, tmp_path: Path, shape: str) -> None:
    arguments, nodes = SHAPES[shape]
    result = lab("new", *arguments)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{shape}.clab.yml is written: change it as you like, then `lab up {shape}.clab.yml`\n"
    topology = load(tmp_path / f"{shape}.clab.yml")
    assert (topology.name, len(topology.nodes)) == (shape, nodes)
    assert f"# Made by `lab new {' '.join(arguments)} --mode iroute" in (tmp_path / f"{shape}.clab.yml").read_text()


def test_new_takes_mode_daemon_transport_and_file(lab: Program, tmp_path: Path) -> None:
    options = ["--mode", "tap", "--daemon", "bird", "--transport", "tcp", "--no-hosts", "-o", "mine.clab.yml"]
    assert lab("new", "hub", *options).exit_code == 0
    topology = load(tmp_path / "mine.clab.yml")
    assert topology.name == "mine"
    assert set(topology.nodes) == {"hub", "spoke1", "spoke2", "spoke3", "transit"}
    assert {(tunnel.mode, tunnel.transport) for tunnel in topology.tunnels} == {("tap", "tcp")}
    router = topology.nodes["hub"].intent.router
    assert router is not None
    assert router.daemon == "bird"


def test_new_does_not_overwrite(lab: Program, tmp_path: Path) -> None:
    (tmp_path / "pair.clab.yml").write_text("mine\n")
    result = lab("new", "pair")
    assert (result.exit_code, result.stderr) == (2, "lab: pair.clab.yml exists: choose another name with --output\n")
    assert (tmp_path / "pair.clab.yml").read_text() == "mine\n"


def test_new_does_not_write_through_a_dangling_link(lab: Program, tmp_path: Path) -> None:
    (tmp_path / "pair.clab.yml").symlink_to(tmp_path / "elsewhere")
    assert lab("new", "pair").exit_code == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pair", "-o", "mine.yml"], "mine.yml does not end in .clab.yml"),
        (["pair", "-o", "a@b.clab.yml"], "a@b.clab.yml: invalid lab name 'a@b'"),
        (["pair", "-o", "absent/a.clab.yml"], "cannot write absent/a.clab.yml: no such file or directory"),
        (["pair", "--mode", "tupp"], "unknown tunnel mode 'tupp'"),
        (["pair", "--daemon", "quagga"], "unknown routing daemon 'quagga'"),
        (["pair", "--transport", "sctp"], "'sctp'"),
        (["ring", "3", "--mode", "fixed-routes"], "the mode fixed-routes has static routes"),
        (["ring", "2"], "greater than or equal to 3"),
        (["hub", "--spokes", "0"], "greater than or equal to 1"),
        (["mesh", "101"], "less than or equal to 100"),
        (["chain"], "Missing argument 'N'"),
    ],
)
def test_new_refuses(lab: Program, tmp_path: Path, arguments: list[str], message: str) -> None:
    result = lab("new", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.glob("*.yml")) == []
