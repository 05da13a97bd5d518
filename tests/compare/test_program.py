"""`lab modes` from end to end, with the least possible effort."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.docker

PATIENCE = 300


def measured(home: Path, *asked: str) -> tuple[dict[str, Any], str]:
    """Run `lab modes` and return its JSON and its progress on stderr."""
    result = subprocess.run(
        [sys.executable, "-m", "lab.cli", "modes", *asked, "--seconds", "1", "--rounds", "1", "--json"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not (home / ".lab").exists(), "a lab was left"
    return json.loads(result.stdout), result.stderr


@pytest.mark.needs_kernel("vxlan")
def test_modes_command_measures_a_kernel_tunnel(tmp_path: Path) -> None:
    found, _ = measured(tmp_path, "--only", "vxlan")
    (tunnel,) = found["tunnels"]
    assert (tunnel["mode"], tunnel["disagreements"], tunnel["missing"], tunnel["failure"]) == ("vxlan", [], None, None)
    assert min(way["ratio"] for way in tunnel["throughput"].values()) > 0
    assert min(tunnel["seconds_to_routes"]) > 0


def test_modes_command_measures_one_mode(tmp_path: Path) -> None:
    asked = ("--only", "p2p-tls", "--openvpn", "2.6", "--transport", "tcp", "--clients", "1,2")
    found, said = measured(tmp_path, *asked)
    assert "1 of 3: p2p-tls, OpenVPN 2.6, tcp: throughput compared with the bare wire" in said
    assert found["effort"] == {"seconds": 1, "rounds": 1, "clients": [1, 2]}
    assert found["host"]["cpus"] >= 1

    (tunnel,) = found["tunnels"]
    assert (tunnel["mode"], tunnel["openvpn"], tunnel["transport"]) == ("p2p-tls", "2.6", "tcp")
    assert (tunnel["disagreements"], tunnel["missing"], tunnel["failure"]) == ([], None, None)
    assert min(tunnel["facts"]["mtu"].values()) > 1280
    assert set(tunnel["throughput"]) == {"to-server", "to-client"}
    for way in tunnel["throughput"].values():
        assert way["ratio"] > 0
        assert way["ratio"] == pytest.approx(way["tunnel"][0] / way["wire"][0])
    (seconds,) = tunnel["seconds_to_routes"]
    assert seconds > 0

    one, two = found["hubs"]
    assert [(h["clients"], h["hub"]["processes"], h["hub"]["routed_for"]) for h in (one, two)] == [(1, 1, 1), (2, 2, 2)]
    # The second process adds its own memory and shares mapped pages with the first.
    assert one["hub"]["memory"] < two["hub"]["memory"] < 2 * one["hub"]["memory"]
