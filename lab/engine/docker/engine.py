"""The Docker engine: nodes are containers, links are made by netlink.

Containers have no Docker network (`network_mode: none`) and no published port, unless their topology asks for a
management network, and only the capabilities that their role needs.
"""

import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
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
    LabNetwork,
    NodeSpec,
    NodeState,
    PublishedPort,
)
from lab.engine.docker import podman
from lab.engine.links import NamespaceLinks
from lab.engine.settings import parse_amount, sysctls
from lab.host.docker_engine import podman_version, product, pull, reason, translated
from lab.image.recipe import short_name

if TYPE_CHECKING:
    import docker
    from docker.types import Healthcheck

    from lab.host.docker_api import Client
    from lab.image.parcel import Parcel
    from lab.topology import Topology
    from lab.topology.model import Management, Node

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
_ENDED = ("exited", "dead", "stopped")
"""States in which the exit code is known; Podman has `stopped` until it has cleaned up."""
_SECOND = 1_000_000_000
"""Docker's unit for the times of a health check is the nanosecond."""
_HOSTNAME = 63
"""The longest host name that a node gets from its own name (the kernel's limit is 64 characters)."""
_FREEZES = 10
"""Attempts to freeze a container."""


class DockerEngine(NamespaceLinks, Engine):
    """Nodes as containers of one Docker engine; thread-safe."""

    name = "docker"

    def __init__(self, client: "Client | docker.DockerClient") -> None:
        self._client = client
        self._api: Any = client.api

    def version(self) -> str:
        """Return e.g. `Docker 28.0.1` or `Podman 4.3.1`."""
        with translated("the engine"):
            return product(self._client.version())

    @cached_property
    def _on_podman(self) -> bool:
        return podman_version(self._client.version()) is not None

    def require_supported(self, topology: "Topology") -> None:
        """Accept everything: the topology's keys are Docker's."""

    def provide(self, image: str, say: Say) -> str:
        """Build the lab's own images; `launch` pulls others."""
        from lab.image.build import provide

        return provide(self._sdk, image, say)

    def digest_of(self, image: str) -> str:
        """Ask the engine."""
        from lab.image import docker_store

        return docker_store.digest_of(self._sdk, image)

    def describe_image(self, image: str) -> "Parcel":
        """Ask the engine, which may have to pull."""
        from lab.image import docker_store

        return docker_store.describe(self._sdk, image)

    def read_image(self, parcel: "Parcel") -> Iterator[bytes]:
        """Read it as `docker save` does."""
        from lab.image import docker_store

        return docker_store.read(self._sdk, parcel)

    def write_image(self, parcel: "Parcel", chunks: Iterable[bytes]) -> None:
        """Write it as `docker load` does."""
        from lab.image import docker_store

        docker_store.write(self._sdk, parcel, chunks)

    @property
    def _sdk(self) -> "docker.DockerClient":
        client: Any = self._client
        sdk: docker.DockerClient = client.sdk() if hasattr(client, "sdk") else client
        return sdk

    def create_network(self, lab: str, management: "Management", directory: Path, owner: str, *, fixed: bool) -> str:
        """Create a bridge network with the lab's label."""
        from lab.engine.docker import network

        with translated(lab):
            return network.create(self._api, lab, management, directory, owner, fixed=fixed)

    def networks(self, lab: str | None = None) -> list[LabNetwork]:
        """Return the networks with the lab's label."""
        with translated(lab or "the lab"):
            found = self._api.networks(filters={"label": LABEL_LAB if lab is None else f"{LABEL_LAB}={lab}"})
        return [
            LabNetwork(
                labels[LABEL_LAB],
                Path(labels[LABEL_DIRECTORY]),
                labels.get(LABEL_OWNER, ""),
                network["Name"],
                (network.get("Options") or {}).get("com.docker.network.bridge.name") or f"br-{network['Id'][:12]}",
                tuple((pool["Subnet"], pool.get("Gateway", "")) for pool in network["IPAM"]["Config"] or ()),
            )
            for network, labels in ((network, network["Labels"]) for network in found)
        ]

    def remove_networks(self, lab: str) -> bool:
        """Remove the networks with the lab's label."""
        from lab.engine.docker import network

        with translated(lab):
            return network.remove(self._api, lab)

    def launch(self, spec: NodeSpec) -> Instance:
        """Create and start a container without a network."""
        with translated(spec.node.name):
            try:
                container = self._create(spec)["Id"]
            except Exception as error:
                if _status(error) == _CONFLICT or podman.is_name_taken(error):
                    raise InputError(
                        f"a container named {spec.container!r} exists already: give the lab another name, "
                        "or remove that container if you do not need it"
                    ) from error
                raise
            self._api.start(container)
            return self._instance(self._api.inspect_container(container))

    def borrow(self, container: str, lab: str, directory: Path) -> Instance:
        """Look a container up by its name."""
        with translated(container):
            try:
                facts = self._api.inspect_container(container)
            except Exception as error:
                if _status(error) != _NOT_FOUND:
                    raise
                facts = None
        if facts is None or _state(facts["State"]) is not NodeState.RUNNING:
            why = "there is none of that name" if facts is None else "it does not run"
            raise InputError(
                f"the lab needs the container {container!r}, kind 'ext-container', and {why}: start it first"
            )
        labels = {LABEL_LAB: lab, LABEL_NODE: container, LABEL_DIRECTORY: str(directory)}
        return self._instance({**facts, "Config": {**facts["Config"], "Labels": labels}})

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
                    facts = self._api.exec_inspect(exec_id)
                    return bool(facts["Running"]) and not podman.has_ended(facts.get("Pid") or 0)
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

    def unlock_network_parameters(self, instances: Sequence[Instance]) -> None:
        """Mount /proc/sys/net again, writable; Docker mounts /proc/sys read-only."""
        from lab.engine.parameters import unlock

        unlock([instance.pid for instance in instances])

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
        settings = _settings(self._api, spec, on_podman=self._on_podman)
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
        from docker.errors import DockerException

        try:
            pull(self._api, image)
        except (DockerException, requests.RequestException) as error:
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
            image=short_name(facts["Config"]["Image"]),
            digest=facts["Image"],
            management=_addresses(facts),
            published=_published(facts),
            health=_health(facts["State"]),
            state=_state(facts["State"]),
            directory=Path(labels[LABEL_DIRECTORY]),
            owner=labels.get(LABEL_OWNER, ""),
            pid=facts["State"]["Pid"],
            exit_code=facts["State"]["ExitCode"] if facts["State"]["Status"] in _ENDED else None,
        )


def _addresses(facts: dict[str, Any]) -> tuple[str, ...]:
    networks = facts.get("NetworkSettings", {}).get("Networks") or {}
    found = [network.get(key) for network in networks.values() for key in ("IPAddress", "GlobalIPv6Address")]
    return tuple(address for address in found if address)


def _published(facts: dict[str, Any]) -> tuple[PublishedPort, ...]:
    bindings = facts.get("NetworkSettings", {}).get("Ports") or {}
    return tuple(
        PublishedPort(each["HostIp"], int(each["HostPort"]), int(port.partition("/")[0]), port.partition("/")[2])
        for port, published in bindings.items()
        for each in published or ()
    )


def _health(state: dict[str, Any]) -> str | None:
    health = (state.get("Health") or {}).get("Status")
    return None if health in (None, "none") else str(health)


def _network(api: Any, spec: NodeSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of a container and of its host that decide on its network."""
    node = spec.node
    if spec.beside:
        return {"hostname": None}, {"network_mode": f"container:{spec.beside}", "sysctls": {}}
    if node.network_mode == "host":
        return {}, {"network_mode": "host", "sysctls": {}}
    if not spec.network:
        # Without a network Docker still creates a sandbox, for its own hosts and resolv.conf, which takes as long as
        # everything else together.
        return {"network_disabled": any(mount.target == HOSTS for mount in spec.mounts)}, {"network_mode": "none"}
    from lab.engine.docker import network

    container: dict[str, Any] = {"networking_config": network.endpoint(api, spec.network, node)}
    host: dict[str, Any] = {"network_mode": spec.network}
    if node.ports:
        container["ports"], host["port_bindings"] = network.ports(node.ports)
    return container, host


def _state(state: dict[str, Any]) -> NodeState:
    # Other engines with this API have more states, such as `stopping`; `Running` is reported independently.
    return _STATES.get(state["Status"], NodeState.RUNNING if state.get("Running") else NodeState.STOPPED)


def _settings(api: Any, spec: NodeSpec, *, on_podman: bool) -> dict[str, Any]:
    node = spec.node
    capabilities: dict[str, Any]
    if spec.privileged:
        capabilities = {"privileged": True}
    elif spec.capabilities is None:
        capabilities = {"cap_add": sorted({*node.cap_add, *(podman.WITHHELD if on_podman else ())})}
    else:
        capabilities = {"cap_drop": ["ALL"], "cap_add": list(spec.capabilities)}
    network, host_network = _network(api, spec)
    host: dict[str, Any] = {
        **capabilities,
        "devices": [*spec.devices, *node.devices],
        "sysctls": sysctls(spec.sysctls, node.sysctls),
        **host_network,
        "binds": [f"{m.source}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in spec.mounts]
        + (podman.write_host_names(spec) if on_podman else [])
        + [*node.binds, *(volume.replace("volume-nocopy", "nocopy") for volume in node.volumes if ":" in volume)],
        "security_opt": list(node.security_opts),
        "tmpfs": {p.partition(":")[0]: p.partition(":")[2] for p in node.tmpfs},
    }
    if spec.processes_of:
        host["pid_mode"] = spec.processes_of
    if spec.cgroup_namespace:
        host["cgroupns"] = spec.cgroup_namespace
    if node.cgroup_parent is not None:
        host["cgroup_parent"] = node.cgroup_parent
    if node.restart_policy != "no":
        host["restart_policy"] = {"Name": node.restart_policy}
    if node.cpu is not None:
        host["nano_cpus"] = int(node.cpu * 1e9)
    if node.cpu_set is not None:
        host["cpuset_cpus"] = node.cpu_set
    if node.memory is not None:
        host["mem_limit"] = parse_amount(node.memory)
    if node.shm_size is not None:
        host["shm_size"] = parse_amount(node.shm_size)
    if node.dns is not None:
        host |= {
            "dns": list(node.dns.servers),
            "dns_search": list(node.dns.search),
            "dns_opt": list(node.dns.options),
        }
    return {
        "image": node.image,
        "name": spec.container,
        "hostname": node.hostname or node.name[:_HOSTNAME],
        "command": shlex.split(node.cmd) if node.cmd else None,
        "entrypoint": shlex.split(node.entrypoint) if node.entrypoint else None,
        "environment": dict(node.env),
        "volumes": [volume for volume in node.volumes if ":" not in volume],
        "user": node.user,
        "tty": spec.terminal,
        "stdin_open": spec.terminal,
        "healthcheck": _healthcheck(node),
        "labels": {
            **node.labels,
            LABEL_LAB: spec.lab,
            LABEL_NODE: node.name,
            LABEL_DIRECTORY: str(spec.directory),
            **({LABEL_OWNER: spec.owner} if spec.owner else {}),
        },
        "host_config": api.create_host_config(**host),
        **network,
    }


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
