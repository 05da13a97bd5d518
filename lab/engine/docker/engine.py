"""The Docker engine: nodes are containers, links are made by netlink.

Containers have no Docker network (`network_mode: none`), no published port, and only the capabilities that their role
needs.
"""

import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.core.errors import InputError
from lab.core.progress import Say
from lab.engine.base import (
    HOSTS,
    LABEL_DIRECTORY,
    LABEL_LAB,
    LABEL_NODE,
    LABEL_OWNER,
    Engine,
    ExecResult,
    Instance,
    NodeSpec,
    NodeState,
)
from lab.engine.links import NamespaceLinks
from lab.host.docker_engine import reason, translated

if TYPE_CHECKING:
    import docker
    from docker.types import Healthcheck

    from lab.host.docker_api import Client
    from lab.topology.model import Node

# The SDK takes a quarter of a second to import, so it is imported where it is needed: to launch nodes, and for images.
_NOT_FOUND, _CONFLICT = 404, 409

_STATES = {
    "created": NodeState.CREATED,
    "running": NodeState.RUNNING,
    "restarting": NodeState.RUNNING,
    "paused": NodeState.PAUSED,
    "exited": NodeState.STOPPED,
    "dead": NodeState.STOPPED,
    "removing": NodeState.STOPPED,
}
_SECOND = 1_000_000_000
"""Docker's unit for the times of a health check is the nanosecond."""
_SYSCTLS = {
    # Any user in the node may ping without a capability (icmp(7)).
    "net.ipv4.ping_group_range": "0 2147483647",
    # Docker disables IPv6 in a sandbox without a network.
    "net.ipv6.conf.all.disable_ipv6": "0",
    "net.ipv6.conf.default.disable_ipv6": "0",
    # A tentative link-local address (duplicate address detection) cannot solicit neighbours.
    "net.ipv6.conf.default.accept_dad": "0",
    # A new namespace inherits the host's IPv4 settings: a lab must be the same on every host.
    "net.ipv4.ip_forward": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}
_SYNONYMS = {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}
"""Two names of one setting: the order in which Docker writes both is undefined."""

_FREEZES = 10
"""Attempts to freeze a container."""


class DockerEngine(NamespaceLinks, Engine):
    """Nodes as containers of one Docker engine; thread-safe."""

    name = "docker"

    def __init__(self, client: "Client | docker.DockerClient") -> None:
        self._client = client
        self._api: Any = client.api

    def version(self) -> str:
        """Return e.g. `Docker 28.0.1`."""
        with translated("the engine"):
            return f"Docker {self._client.version()['Version']}"

    def provide(self, image: str, say: Say) -> str:
        """Build the lab's own images; `launch` pulls others."""
        from lab.image.build import provide

        client: Any = self._client
        return provide(client.sdk() if hasattr(client, "sdk") else client, image, say)

    def launch(self, spec: NodeSpec) -> Instance:
        """Create and start a container without a network."""
        with translated(spec.node.name):
            try:
                container = self._create(spec)["Id"]
            except Exception as error:
                if _status(error) == _CONFLICT:
                    raise InputError(
                        f"a container named {spec.container!r} exists already: give the lab another name, "
                        "or remove that container if you do not need it"
                    ) from error
                raise
            self._api.start(container)
            return self._instance(self._api.inspect_container(container))

    def find(self, lab: str | None = None) -> list[Instance]:
        """Return all containers that carry the lab's labels."""
        label = LABEL_LAB if lab is None else f"{LABEL_LAB}={lab}"
        found: list[Instance] = []
        with translated("the lab"):
            for summary in self._api.containers(all=True, filters={"label": label}):
                try:
                    found.append(self._instance(self._api.inspect_container(summary["Id"])))
                except Exception as error:
                    if _status(error) != _NOT_FOUND:  # removed between the two calls
                        raise
        return sorted(found, key=lambda i: (i.lab, i.node))

    def exec(self, instance: Instance, argv: Sequence[str]) -> ExecResult:
        """Run a command in a container and wait for it."""
        with translated(instance.node):
            exec_id = self._api.exec_create(instance.container, list(argv))["Id"]
            out, err = self._api.exec_start(exec_id, demux=True)
            exit_code = self._api.exec_inspect(exec_id)["ExitCode"]
        return ExecResult(
            node=instance.node,
            argv=tuple(argv),
            exit_code=exit_code,
            stdout=(out or b"").decode(errors="replace"),
            stderr=(err or b"").decode(errors="replace"),
        )

    def spawn(self, instance: Instance, argv: Sequence[str]) -> Callable[[], bool]:
        """Start a command in a container without waiting."""
        with translated(instance.node):
            exec_id = self._api.exec_create(instance.container, list(argv), stdout=False, stderr=False)["Id"]
            self._api.exec_start(exec_id, detach=True)

        def is_running() -> bool:
            with translated(instance.node):
                try:
                    return bool(self._api.exec_inspect(exec_id)["Running"])
                except Exception as error:
                    if _status(error) == _NOT_FOUND:  # Docker forgets an exec some time after its end
                        return False
                    raise

        return is_running

    def attach_argv(self, instance: Instance, argv: Sequence[str], *, tty: bool) -> list[str]:
        """Use the docker CLI if it is installed, because it resizes the terminal; otherwise nsenter(1)."""
        if shutil.which("docker"):
            return ["docker", "exec", "-it" if tty else "-i", instance.container, *argv]
        return ["nsenter", "--target", str(instance.pid), "--all", "--", *argv]

    def pause(self, instance: Instance) -> None:
        """Freeze a container; runc can fail on a busy one, so it is retried."""
        with translated(instance.node):
            for left in reversed(range(_FREEZES)):
                try:
                    self._api.pause(instance.container)
                except Exception as error:
                    if not left or "unable to freeze" not in str(getattr(error, "explanation", "")):
                        raise
                else:
                    return

    def resume(self, instance: Instance) -> None:
        """Thaw a container."""
        with translated(instance.node):
            self._api.unpause(instance.container)

    def output(self, instance: Instance, lines: int = 20) -> str:
        """Return the end of the container's log."""
        with translated(instance.node):
            printed: bytes = self._api.logs(instance.container, tail=lines)
        return printed.decode(errors="replace").strip()

    def memory(self, instance: Instance) -> int:
        """Return the anonymous memory of the container's control group, in bytes."""
        with translated(instance.node):
            stats = self._api.stats(instance.container, stream=False, one_shot=True)["memory_stats"]
        detail = stats.get("stats", {})
        # total_rss in cgroup 1, anon in cgroup 2.
        return int(detail.get("total_rss", detail.get("anon", stats.get("usage", 0))))

    def destroy(self, instances: Sequence[Instance]) -> None:
        """Remove containers, several at a time."""

        def remove(instance: Instance) -> None:
            with translated(instance.node):
                try:
                    self._api.remove_container(instance.container, force=True, v=True)
                except Exception as error:
                    if _status(error) not in (_NOT_FOUND, _CONFLICT):  # removed, or being removed
                        raise

        if instances:
            with ThreadPoolExecutor(max_workers=min(8, len(instances))) as pool:
                list(pool.map(remove, instances))

    def _create(self, spec: NodeSpec) -> dict[str, Any]:
        from docker.errors import ImageNotFound

        node = spec.node
        assert node.image is not None
        settings = _settings(self._api, spec)
        if node.image_pull_policy == "Always":
            self._pull(node.image, node.name)
        try:
            created: dict[str, Any] = self._api.create_container(**settings)
        except ImageNotFound as error:
            if node.image_pull_policy == "Never":
                raise InputError(
                    f"node {node.name!r}: image {node.image!r} does not exist on this host, and "
                    "`image-pull-policy: Never` forbids pulling it; build it, load it, or correct `image`"
                ) from error
            self._pull(node.image, node.name)
            created = self._api.create_container(**settings)
        return created

    def _pull(self, image: str, node: str) -> None:
        import requests
        from docker.errors import APIError

        repository, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
        try:
            self._api.pull(repository, tag=tag)
        except (APIError, requests.RequestException) as error:
            raise InputError(
                f"node {node!r}: image {image!r} does not exist on this host and cannot be pulled "
                f"({reason(error)}); build it, load it, or correct `image`"
            ) from error

    def _instance(self, facts: dict[str, Any]) -> Instance:
        labels = facts["Config"]["Labels"]
        return Instance(
            lab=labels[LABEL_LAB],
            node=labels[LABEL_NODE],
            container=facts["Name"].lstrip("/"),
            image=facts["Config"]["Image"],
            digest=facts["Image"],
            state=_state(facts["State"]),
            directory=Path(labels[LABEL_DIRECTORY]),
            owner=labels.get(LABEL_OWNER, ""),
            pid=facts["State"]["Pid"],
            exit_code=facts["State"]["ExitCode"] if facts["State"]["Status"] in ("exited", "dead") else None,
        )


def _state(state: dict[str, Any]) -> NodeState:
    # Other engines with this API have more states, such as `stopping`; `Running` is reported independently.
    return _STATES.get(state["Status"], NodeState.RUNNING if state.get("Running") else NodeState.STOPPED)


def _settings(api: Any, spec: NodeSpec) -> dict[str, Any]:
    node = spec.node
    if spec.capabilities is None:
        capabilities = {"cap_add": list(node.cap_add)}
    else:
        capabilities = {"cap_drop": ["ALL"], "cap_add": list(spec.capabilities)}
    host: dict[str, Any] = {
        "network_mode": "none",
        **capabilities,
        "devices": [*spec.devices, *node.devices],
        "sysctls": _sysctls(spec.sysctls, node.sysctls),
        "binds": [f"{m.source}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in spec.mounts] + list(node.binds),
        "security_opt": list(node.security_opts),
        "tmpfs": {p.partition(":")[0]: p.partition(":")[2] for p in node.tmpfs},
    }
    if node.cpu is not None:
        host["nano_cpus"] = int(node.cpu * 1e9)
    if node.cpu_set is not None:
        host["cpuset_cpus"] = node.cpu_set
    if node.memory is not None:
        host["mem_limit"] = _bytes(node.memory)
    if node.shm_size is not None:
        host["shm_size"] = _bytes(node.shm_size)
    if node.dns is not None:
        host |= {
            "dns": list(node.dns.servers),
            "dns_search": list(node.dns.search),
            "dns_opt": list(node.dns.options),
        }
    return {
        "image": node.image,
        "name": spec.container,
        "hostname": node.hostname or node.name,
        # Without a network Docker still creates a sandbox, for its own hosts and resolv.conf, which takes as long as
        # everything else together.
        "network_disabled": any(mount.target == HOSTS for mount in spec.mounts),
        "command": shlex.split(node.cmd) if node.cmd else None,
        "entrypoint": shlex.split(node.entrypoint) if node.entrypoint else None,
        "environment": dict(node.env),
        "user": node.user,
        "healthcheck": _healthcheck(node),
        "labels": {
            **node.labels,
            LABEL_LAB: spec.lab,
            LABEL_NODE: node.name,
            LABEL_DIRECTORY: str(spec.directory),
            **({LABEL_OWNER: spec.owner} if spec.owner else {}),
        },
        "host_config": api.create_host_config(**host),
    }


def _sysctls(role: Mapping[str, str], topology: Mapping[str, str]) -> dict[str, str]:
    """Merge sysctls: defaults, then role, then topology."""
    replaced = {_SYNONYMS[key] for key in topology if key in _SYNONYMS}
    return {**{key: value for key, value in {**_SYSCTLS, **role}.items() if key not in replaced}, **topology}


def _status(error: Exception) -> int | None:
    """Return the HTTP status of an error of the client; None if it has none."""
    status: int | None = getattr(error, "status_code", None)
    return status


def _healthcheck(node: "Node") -> "Healthcheck | None":
    check = node.healthcheck
    if check is None or not check.test:
        return None
    times: dict[str, Any] = {"interval": check.interval, "timeout": check.timeout, "start_period": check.start_period}
    from docker.types import Healthcheck

    return Healthcheck(
        test=list(check.test),
        retries=check.retries,
        **{key: seconds * _SECOND for key, seconds in times.items() if seconds is not None},
    )


def _bytes(amount: str) -> int:
    """Parse an amount of memory: containerlab allows `1 GiB` and `512MB`, Docker's SDK one letter only."""
    from docker.utils import parse_bytes

    return int(parse_bytes(re.sub(r"(?i)\s*([kmgt])i?b?$", r"\1", amount.strip())))
