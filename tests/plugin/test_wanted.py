"""The request of a test: its topology is read once, and again after a change."""

import os
from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import find_topology
from lab.testing.plugin import Wanted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    text = find_topology("p2p-tls").read_text()
    assert "name: p2p-tls" in text
    file = tmp_path / "mine.clab.yml"
    file.write_text(text.replace("name: p2p-tls", "name: ${CALLED:=mine}"))
    return file


def wanted(file: Path, **how: Any) -> Wanted:
    return Wanted.of(file.parent / "test_it.py", file.name, version=how.pop("version", None), **how)


def test_topology_is_read_once(file: Path) -> None:
    assert wanted(file).topology is wanted(file).topology
    assert wanted(file, fresh=True).topology is wanted(file).topology


def test_version_tunnel_and_variables_make_another_topology(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = wanted(file)
    assert first.topology.name == "mine"
    assert wanted(file, version="2.6").key != wanted(file, version="2.7").key
    assert wanted(file, openvpn="2.6", version="2.7").key == wanted(file, version="2.6").key
    tunnel = wanted(file, tunnel={"transport": "tcp"}).topology.tunnels[0]
    assert (tunnel.transport, first.topology.tunnels[0].transport) == ("tcp", "udp")
    monkeypatch.setenv("CALLED", "yours")
    assert wanted(file).topology.name == "yours"
    monkeypatch.delenv("CALLED")
    assert wanted(file).topology is first.topology


def test_changed_file_is_read_again(file: Path) -> None:
    before = wanted(file)
    file.write_text(file.read_text().replace("mine}", "changed}"))
    os.utime(file, ns=(0, 0))
    assert wanted(file).topology.name == "changed"
    assert before.topology.name == "mine"
