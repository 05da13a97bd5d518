"""A mode from another distribution: the lab finds it, checks its options, renders its templates and draws it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.render.graph import mermaid
from lab.topology import TopologyError
from lab.tunnel import modes
from lab.tunnel.pki import Authority
from tests.helpers.rendering import configured
from tests.helpers.thirdparty import SOURCES, installed


@pytest.fixture(scope="module")
def site_packages() -> Iterator[Path]:
    with installed("mode") as target:
        yield target


def test_mode_is_loaded_from_its_own_distribution(site_packages: Path) -> None:
    assert modes()["p2p-tap"].summary.startswith("tls-server and tls-client with dev tap")
    file = sys.modules["lab_p2p_tap"].__file__
    assert file is not None
    assert Path(file).is_relative_to(site_packages)
    assert not (SOURCES / "mode" / "build").exists()


def test_reader_names_the_tunnels_devices_after_the_mode(site_packages: Path) -> None:
    (tunnel,) = load("p2p-tls", tunnel={"mode": "p2p-tap"}).tunnels
    assert (tunnel.mode, tunnel.device, tunnel.server_device) == ("p2p-tap", "tap0", "tap0")


def test_reader_checks_the_modes_own_option(site_packages: Path) -> None:
    with pytest.raises(TopologyError, match="replay-window"):
        load("p2p-tls", tunnel={"mode": "p2p-tap", "options": {"replay-window": -1}})
    with pytest.raises(TopologyError, match="no such option") as caught:
        load("p2p-tls", tunnel={"mode": "p2p-tap", "options": {"iroute": []}})
    assert "replay-window" in str(caught.value)


def test_files_are_rendered_from_its_own_templates_and_the_shared_parts(site_packages: Path) -> None:
    (tunnel,) = load("p2p-tls", tunnel={"mode": "p2p-tap", "options": {"replay-window": 128}}).tunnels
    server, client = configured(Authority.new("unit lab"), tunnel)
    for end in (server, client):
        assert end["dev-type"] == [["tap"]]
        assert end["replay-window"] == [["128"]]
        assert end["crl-verify"]
    assert server["ifconfig"] == [["10.255.0.1", "255.255.255.252"]]
    assert client["remote"] == [[str(tunnel.server_outer), "1194"]]


def test_graph_names_the_mode(site_packages: Path) -> None:
    assert "branch-hq: p2p-tap over UDP" in mermaid(load("p2p-tls", tunnel={"mode": "p2p-tap"}))


@pytest.mark.parametrize("is_installed", [True, False], ids=["installed", "not-installed"])
def test_program_lists_the_mode_if_installed(site_packages: Path, is_installed: bool) -> None:
    environment = {**os.environ, **({"PYTHONPATH": str(site_packages)} if is_installed else {})}
    command = (sys.executable, "-m", "lab.cli", "modes", "--quick", "--only", "p2p-tap")
    shown = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (shown.returncode == 0) == is_installed, shown.stderr
    assert "p2p-tap" in (shown.stdout if is_installed else shown.stderr)
