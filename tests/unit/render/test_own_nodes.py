"""Nodes with files of the user's: what is mounted in them, and what they may do."""

from pathlib import Path, PurePosixPath

from lab.engine import NodeSpec
from lab.render.node_spec import node_spec
from lab.topology import Node, Topology
from lab.topology.own import Issue, NodeFile, OwnProcess

IMAGE = "openvpn-routing-lab/node:2.7"


def spec(tmp_path: Path, process: dict[str, object], node: dict[str, object] | None = None) -> NodeSpec:
    whole = {"name": "hq", "kind": "linux", "image": IMAGE, **(node or {})}
    own = {
        "node": "hq",
        "name": "hq-server",
        "config": tmp_path / "server.conf",
        "given": "server.conf",
        "path": "/etc/openvpn/server.conf",
        "directory": "/etc/openvpn",
        "role": "server",
        "listens": True,
        "device": "tun0",
        **process,
    }
    topology = Topology(
        name="own",
        file=tmp_path / "own.clab.yml",
        nodes={"hq": Node.model_validate(whole)},
        processes=(OwnProcess.model_validate(own),),
    )
    return node_spec(topology, "hq", IMAGE, tmp_path / "lab")


def test_a_process_may_open_its_device_and_drop_its_privileges(tmp_path: Path) -> None:
    found = spec(tmp_path, {})
    assert "/dev/net/tun" in found.devices
    assert found.capabilities is not None
    assert {"NET_ADMIN", "SETUID", "SETGID"} <= set(found.capabilities)
    assert "SYS_CHROOT" not in found.capabilities
    jailed = spec(tmp_path, {"needs": ("chroot",)})
    assert "SYS_CHROOT" in (jailed.capabilities or ())


def test_a_node_with_a_process_forwards_unless_the_topology_says_otherwise(tmp_path: Path) -> None:
    assert spec(tmp_path, {}).sysctls["net.ipv4.ip_forward"] == "1"
    found = spec(tmp_path, {}, {"sysctls": {"net.ipv4.ip_forward": "0"}})
    assert found.node.sysctls["net.ipv4.ip_forward"] == "0"


def test_openvpn_may_write_in_its_directory(tmp_path: Path) -> None:
    (mount,) = (m for m in spec(tmp_path, {}).mounts if m.target == PurePosixPath("/etc/openvpn"))
    assert not mount.read_only


def test_files_elsewhere_are_mounted_one_by_one(tmp_path: Path) -> None:
    files = (
        NodeFile(path=PurePosixPath("/etc/openvpn/ccd/branch"), text=""),
        NodeFile(path=PurePosixPath("/usr/local/bin/up"), text=""),
    )
    issues = (Issue(path=PurePosixPath("/root/ca.crt"), kind="ca", domain="x"),)
    mounts = {str(m.target): m.source for m in spec(tmp_path, {"files": files, "issues": issues}).mounts}
    assert mounts["/usr/local/bin/up"] == tmp_path / "lab/nodes/hq/usr/local/bin/up"
    assert mounts["/root/ca.crt"] == tmp_path / "lab/nodes/hq/root/ca.crt"
    assert "/etc/openvpn/ccd/branch" not in mounts
    assert "/usr/local/bin" not in mounts
