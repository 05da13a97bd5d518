"""A fake of Docker's low-level client, and what an engine asks of it."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from docker.types import HostConfig

from lab.engine import Mount, NodeSpec
from lab.engine.docker.engine import DockerEngine
from lab.topology import Node


class FakeApi:
    """Docker's low-level client: records each call, and raises the exception that `fails` has for the method."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.fails: dict[str, list[Exception | None]] = {}
        self.state: dict[str, Any] = {"Status": "running", "Pid": 4711, "ExitCode": 0, "Running": True}
        self.listed: list[str] = []
        self.labels: dict[str, str] = {}
        self.pulled: list[dict[str, str]] = [{"status": "Downloading"}]

    def create_host_config(self, **arguments: Any) -> HostConfig:
        return HostConfig(version="1.44", **arguments)

    def create_container(self, **arguments: Any) -> dict[str, str]:
        self._called("create_container", (), arguments)
        self.labels = arguments["labels"]
        return {"Id": "c0ffee"}

    def inspect_container(self, container: str) -> dict[str, Any]:
        self._called("inspect_container", (container,), {})
        return {
            "Name": "/clab-x-hq",
            "Config": {"Labels": self.labels, "Image": "node:1"},
            "Image": "sha256:0123",
            "State": self.state,
        }

    def pull(self, *arguments: Any, **options: Any) -> list[dict[str, str]]:
        self._called("pull", arguments, options)
        return self.pulled

    def containers(self, **arguments: Any) -> list[dict[str, str]]:
        self._called("containers", (), arguments)
        return [{"Id": name} for name in self.listed]

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: self._called(name, args, kwargs)

    def _called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.calls.append((name, args, kwargs))
        failures = self.fails.get(name, [])
        failure = failures.pop(0) if failures else None
        if failure is not None:
            raise failure

    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


def node_spec(*, owner: str = "", capabilities: tuple[str, ...] | None = ("NET_RAW",), **node: Any) -> NodeSpec:
    return NodeSpec(
        lab="x",
        node=Node(**{"name": "hq", "kind": "linux", "image": "node:1", **node}),
        container="clab-x-hq",
        directory=Path("/labs/x"),
        owner=owner,
        capabilities=capabilities,
        devices=("/dev/net/tun",),
        mounts=(
            Mount(Path("/labs/x/nodes/hq/etc/openvpn"), PurePosixPath("/etc/openvpn")),
            Mount(Path("/labs/x/nodes/hq/var/log/openvpn"), PurePosixPath("/var/log/openvpn"), read_only=False),
        ),
    )


def created(engine: DockerEngine, api: FakeApi, spec: NodeSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Launch a node; return the container's settings and its host settings."""
    engine.launch(spec)
    ((_, _, settings),) = [call for call in api.calls if call[0] == "create_container"]
    return settings, settings["host_config"]


# --- settings ----------------------------------------------------------------------------------------------
