"""`lab render`: files that are fit to be copied to real hosts."""

import stat
from pathlib import Path

import pytest

from lab.render.routeros import check
from tests.helpers.paper import Program


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_render_writes_files_per_node_with_keys_of_mode_600(lab: Program) -> None:
    assert lab("render", "article", "--out", "out").exit_code == 0
    keys = sorted(Path("out").rglob("*.key"))
    assert [str(key) for key in keys] == [
        "out/authority/ca.key",
        "out/branch/etc/openvpn/client/branch-hq/client.key",
        "out/hq/etc/openvpn/server/branch-hq/server.key",
    ]
    assert {mode(key) for key in keys} == {0o600}
    assert mode(Path("out/hq/etc/openvpn/server/branch-hq/client-connect")) == 0o755
    assert Path("out/hq/etc/frr/frr.conf").is_file()
    assert not lab.engine.instances


def test_guide_names_every_file_and_service(lab: Program) -> None:
    lab("render", "article", "--out", "out")
    guide = Path("out/HOWTO.md").read_text()
    for node in ("hq", "branch"):
        for file in Path("out", node).rglob("*"):
            if file.is_file():
                assert f"`{file.relative_to('out')}`" in guide
    for word in (
        *("openvpn-server@branch-hq", "openvpn-client@branch-hq", "bgpd=yes", "systemctl restart frr"),
        *("net.ipv4.ip_forward = 1", "net.ipv6.conf.all.forwarding = 1", "Do not copy `authority/ca.key` to any host"),
    ):
        assert word in guide
    assert guide.index("## hq") < guide.index("## branch")


def test_render_refuses_a_directory_that_is_not_empty(lab: Program) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("keep me")
    refused = lab("render", "article", "--out", "out")
    assert refused.exit_code == 2
    assert "out is not empty" in refused.stderr
    assert lab("render", "article", "--out", "out", "--force").exit_code == 0
    assert lab("render", "article", "--out", "out", "--force").exit_code == 0
    assert Path("out/mine.txt").read_text() == "keep me"
    assert lab("render", "article", "--out", "out/mine.txt").exit_code == 2


def test_resolved_topology_is_valid(lab: Program) -> None:
    lab("render", "article", "--out", "out", "--resolved", "--name", "other")
    result = lab("validate", "out/topology.clab.yml")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("hand_out", ["client-connect", "client-config-dir"])
def test_render_uses_options_of_set(lab: Program, hand_out: str) -> None:
    lab("render", "article", "--out", "out", "--set", f"tunnel.options.hand-out={hand_out}")
    assert hand_out in Path("out/hq/etc/openvpn/server/branch-hq.conf").read_text()


def test_render_writes_routeros_commands_beside_the_certificates(lab: Program, tmp_path: Path) -> None:
    options = ["profile=routeros-7", "options.topology=subnet", "options.data-ciphers=[AES-256-CBC]"]
    out = tmp_path / "out"
    written = lab("render", "article", "--out", str(out), "--for", "routeros", *(f"--set=tunnel.{o}" for o in options))
    assert written.exit_code == 0, written.stderr
    assert check((out / "branch" / "routeros.rsc").read_text()) == []
    assert (out / "branch/etc/openvpn/client/branch-hq/client.key").stat().st_mode & 0o777 == 0o600
    refused = lab("render", "article", "--out", str(tmp_path / "other"), "--for", "routeros")
    assert refused.exit_code == 2
    assert "no tunnel has a RouterOS profile" in refused.stderr
