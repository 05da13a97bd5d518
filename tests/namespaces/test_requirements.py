"""The requirements of a mode that needs a kernel device, checked before OpenVPN starts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from lab.core.errors import EnvironmentBroken, NotSupported
from lab.engine import Namespace
from lab.engine.netlink import try_device
from lab.tunnel.running import OpenVpn, Versions
from tests.helpers.sandbox import Sandbox

IMAGES = count(1)


@dataclass
class Node:
    """A node with a kernel and an OpenVPN of some version."""

    namespace: Namespace
    version: str
    name: str = "hq"
    instance: Any = field(
        default_factory=lambda: SimpleNamespace(image="some/image:latest", digest=f"sha256:{next(IMAGES)}")
    )
    asked: int = 0

    def try_device(self, kind: str) -> str | None:
        return try_device(self.namespace, kind)

    def exec(self, *argv: str) -> Any:
        assert argv == ("openvpn", "--version")
        self.asked += 1
        return SimpleNamespace(stdout=f"OpenVPN {self.version} x86_64-pc-linux-gnu [SSL (OpenSSL)] [DCO]\n", stderr="")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Sandbox() as box:
        yield box.namespace


def require(node: Any, kind: str | None, versions: Versions | None = None) -> None:
    mode: Any = SimpleNamespace(name="fast", traits=SimpleNamespace(kernel=kind, openvpn=("2.7",)))
    OpenVpn(None, node, "tun0", versions or Versions()).require(mode)  # type: ignore[arg-type]


def test_present_device_and_version_are_accepted(namespace: Namespace) -> None:
    require(Node(namespace, "2.7.8"), "bridge")


def test_kernel_without_the_device_is_not_supported(namespace: Namespace) -> None:
    with pytest.raises(NotSupported, match="mode fast needs this kind of device: Operation not supported") as caught:
        require(Node(namespace, "2.7.8"), "nosuchkind")
    assert caught.value.feature == "nosuchkind"


def test_openvpn_of_an_older_version_is_not_supported(namespace: Namespace) -> None:
    with pytest.raises(NotSupported, match=r"mode fast needs OpenVPN 2\.7, and hq has OpenVPN 2\.6\.14 x86_64"):
        require(Node(namespace, "2.6.14"), "bridge")


@dataclass
class NodeWithoutOpenVpn(Node):
    """A node whose `openvpn --version` fails."""

    def exec(self, *argv: str) -> Any:
        return SimpleNamespace(stdout="", stderr="openvpn: No such file or directory\n")


def test_openvpn_that_does_not_run_is_an_error_and_no_lack_of_support(namespace: Namespace) -> None:
    with pytest.raises(EnvironmentBroken, match=r"hq: `openvpn --version` .* 'openvpn: No such file or directory'"):
        require(NodeWithoutOpenVpn(namespace, ""), "bridge")


def test_userspace_mode_queries_no_version(namespace: Namespace) -> None:
    node = Node(namespace, "2.6.14")
    require(node, None)
    assert node.asked == 0


def test_version_is_queried_once_per_image_and_lab(namespace: Namespace) -> None:
    one, other, another = (Node(namespace, "2.7.8") for _ in range(3))
    other.instance = one.instance
    versions = Versions()
    for node in (one, other, another):
        require(node, "bridge", versions)
    assert [node.asked for node in (one, other, another)] == [1, 0, 1]
    require(other, "bridge", Versions())
    assert other.asked == 1, "another lab may have a newer image behind the same tag"
