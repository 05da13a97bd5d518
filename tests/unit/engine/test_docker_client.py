"""The Docker engine with a fake client that records its calls and fails on demand."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from lab.core.errors import EnvironmentBroken, InputError, LabError
from lab.engine import Instance, Mount, NodeState
from lab.engine.base import LABEL_DIRECTORY, LABEL_LAB, LABEL_NODE, LABEL_OWNER
from lab.engine.docker.engine import DockerEngine
from lab.topology import Dns, Healthcheck
from tests.helpers.docker_fake import FakeApi, created, node_spec


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def engine(api: FakeApi) -> DockerEngine:
    return DockerEngine(SimpleNamespace(api=api, version=lambda: {"Version": "28.0.1"}))  # type: ignore[arg-type]


def instance(state: NodeState = NodeState.RUNNING) -> Instance:
    return Instance("x", "hq", "clab-x-hq", "node:1", state, Path("/labs/x"), pid=4711)


def refusal(status: int, why: str, kind: type[APIError] = APIError) -> APIError:
    response = requests.Response()
    response.status_code = status
    return kind(f"{status} Server Error", response=response, explanation=why)


def test_node_has_no_network_port_or_privilege(engine: DockerEngine, api: FakeApi) -> None:
    settings, host = created(engine, api, node_spec())
    assert host["NetworkMode"] == "none"
    assert not host.get("PortBindings")
    assert not host.get("PublishAllPorts")
    assert not settings.get("ports")
    assert not host.get("Privileged")
    assert not any(host.get(f"{kind}Mode") for kind in ("Pid", "Ipc", "UTS", "Userns"))


def test_node_has_only_the_capabilities_of_its_role(engine: DockerEngine, api: FakeApi) -> None:
    _, host = created(engine, api, node_spec(capabilities=("NET_RAW", "NET_ADMIN")))
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == ["NET_RAW", "NET_ADMIN"]


def test_foreign_image_keeps_the_default_capabilities(engine: DockerEngine, api: FakeApi) -> None:
    _, host = created(engine, api, node_spec(capabilities=None, cap_add=("SYS_TIME",)))
    assert not host.get("CapDrop")
    assert host["CapAdd"] == ["SYS_TIME"]


def test_default_sysctls_enable_ipv6_and_ping(engine: DockerEngine, api: FakeApi) -> None:
    _, host = created(engine, api, node_spec(sysctls={"net.ipv4.ip_forward": "1"}))
    sysctls = host["Sysctls"]
    assert sysctls["net.ipv6.conf.all.disable_ipv6"] == sysctls["net.ipv6.conf.default.disable_ipv6"] == "0"
    assert sysctls["net.ipv6.conf.default.accept_dad"] == "0"
    assert sysctls["net.ipv4.ping_group_range"] == "0 2147483647"
    assert sysctls["net.ipv4.ip_forward"] == "1"


def test_sysctl_of_the_topology_wins_under_either_name(engine: DockerEngine, api: FakeApi) -> None:
    wanted = {"net.ipv4.conf.all.forwarding": "1", "net.ipv6.conf.all.disable_ipv6": "1"}
    _, host = created(engine, api, node_spec(sysctls=wanted))
    assert wanted.items() <= host["Sysctls"].items()
    assert "net.ipv4.ip_forward" not in host["Sysctls"], "the other name of this setting would override it"


def test_labels_of_the_lab_override_those_of_the_topology(engine: DockerEngine, api: FakeApi) -> None:
    settings, _ = created(engine, api, node_spec(owner="42-7", labels={"colour": "red", LABEL_LAB: "another"}))
    assert settings["labels"] == {
        "colour": "red",
        LABEL_LAB: "x",
        LABEL_NODE: "hq",
        LABEL_DIRECTORY: "/labs/x",
        LABEL_OWNER: "42-7",
    }


def test_lab_of_the_user_has_no_owner_label(engine: DockerEngine, api: FakeApi) -> None:
    settings, _ = created(engine, api, node_spec())
    assert LABEL_OWNER not in settings["labels"]


def test_node_settings_of_the_topology_are_passed_on(engine: DockerEngine, api: FakeApi) -> None:
    settings, host = created(
        engine,
        api,
        node_spec(
            binds=("/srv:/srv:ro",),
            devices=("/dev/ppp",),
            tmpfs=("/run", "/cache:size=1m"),
            security_opts=("no-new-privileges",),
            cpu=1.5,
            cpu_set="0-1",
            env={"A": "b=c"},
            cmd="sh -c 'echo $A'",
            entrypoint="/sbin/tini --",
            user="nobody",
            hostname="head",
            dns=Dns(servers=("192.0.2.53",), search=("example.org",), options=("ndots:2",)),
        ),
    )
    assert host["Binds"] == [
        "/labs/x/nodes/hq/etc/openvpn:/etc/openvpn:ro",
        "/labs/x/nodes/hq/var/log/openvpn:/var/log/openvpn:rw",
        "/srv:/srv:ro",
    ]
    assert [device["PathOnHost"] for device in host["Devices"]] == ["/dev/net/tun", "/dev/ppp"]
    assert host["Tmpfs"] == {"/run": "", "/cache": "size=1m"}
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["NanoCpus"] == 1_500_000_000
    assert host["CpusetCpus"] == "0-1"
    assert (host["Dns"], host["DnsSearch"], host["DnsOptions"]) == (["192.0.2.53"], ["example.org"], ["ndots:2"])
    assert settings["environment"] == {"A": "b=c"}
    assert settings["command"] == ["sh", "-c", "echo $A"]
    assert settings["entrypoint"] == ["/sbin/tini", "--"]
    assert (settings["user"], settings["hostname"], settings["name"]) == ("nobody", "head", "clab-x-hq")


@pytest.mark.parametrize("brings", [True, False])
def test_hosts_mount_disables_network_sandbox(engine: DockerEngine, api: FakeApi, brings: bool) -> None:
    """For other nodes Docker writes resolv.conf there, with the topology's name servers."""
    names = Mount(Path("/labs/x/hosts"), PurePosixPath("/etc/hosts"), read_only=False)
    settings, _ = created(engine, api, replace(node_spec(), mounts=(names,) if brings else ()))
    assert settings["network_disabled"] is brings


def test_hostname_defaults_to_the_node_name(engine: DockerEngine, api: FakeApi) -> None:
    settings, host = created(engine, api, node_spec())
    assert settings["hostname"] == "hq"
    assert settings["command"] is None
    assert settings["entrypoint"] is None
    assert "Memory" not in host


@pytest.mark.parametrize(
    ("amount", "size"),
    [
        ("512MB", 512 << 20),
        ("512mb", 512 << 20),
        ("512m", 512 << 20),
        ("1 GiB", 1 << 30),
        ("1Gb", 1 << 30),
        ("64KiB", 64 << 10),
        ("0.5GB", 1 << 29),
        ("1048576", 1 << 20),
        ("1048576b", 1 << 20),
    ],
)
def test_memory_takes_the_units_of_containerlab(engine: DockerEngine, api: FakeApi, amount: str, size: int) -> None:
    _, host = created(engine, api, node_spec(memory=amount, shm_size=amount))
    assert host["Memory"] == host["ShmSize"] == size
    assert isinstance(host["Memory"], int), "Docker accepts integers only"


def test_healthcheck_times_are_nanoseconds(engine: DockerEngine, api: FakeApi) -> None:
    check = Healthcheck(test=("CMD", "true"), interval=3, timeout=2, retries=4, start_period=1)
    settings, _ = created(engine, api, node_spec(healthcheck=check))
    assert dict(settings["healthcheck"]) == {
        "Test": ["CMD", "true"],
        "Interval": 3_000_000_000,
        "Timeout": 2_000_000_000,
        "Retries": 4,
        "StartPeriod": 1_000_000_000,
    }


# --- errors ------------------------------------------------------------------------------------------------


def fails(kind: type[LabError], work: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        work()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (409, "Conflict. The container name is already in use"),
        (
            500,
            'container create: creating container storage: the container name "clab-x-hq" is already in use',
        ),
    ],
    ids=["docker", "podman"],
)
def test_taken_container_name_is_an_input_error(engine: DockerEngine, api: FakeApi, status: int, why: str) -> None:
    api.fails["create_container"] = [refusal(status, why)]
    text = fails(InputError, lambda: engine.launch(node_spec()))
    assert "'clab-x-hq' exists already: give the lab another name" in text
    assert "start" not in api.names()


def test_full_disk_names_a_remedy(engine: DockerEngine, api: FakeApi) -> None:
    api.fails["start"] = [refusal(500, "mkdir /var/lib/docker/x:\nNo space left on device")]
    assert re.search(
        "hq: the disk .* is full .*docker system prune", fails(EnvironmentBroken, lambda: engine.launch(node_spec()))
    )


def test_refusal_quotes_docker(engine: DockerEngine, api: FakeApi) -> None:
    api.fails["start"] = [refusal(403, "permission denied")]
    assert fails(EnvironmentBroken, lambda: engine.launch(node_spec())) == "hq: the engine refused: permission denied"


@pytest.mark.parametrize(
    "failure",
    [
        requests.ConnectionError("Connection refused"),
        requests.ReadTimeout("timed out"),
        DockerException("Error while fetching server API version"),
    ],
    ids=lambda f: type(f).__name__,
)
@pytest.mark.parametrize(
    "method", ["create_container", "containers", "exec_create", "pause", "logs", "remove_container"]
)
def test_engine_that_does_not_answer_is_one_sentence(
    engine: DockerEngine, api: FakeApi, method: str, failure: Exception
) -> None:
    api.fails[method] = [failure]
    work: dict[str, Callable[[], object]] = {
        "create_container": lambda: engine.launch(node_spec()),
        "containers": lambda: engine.find("x"),
        "exec_create": lambda: engine.exec(instance(), ["true"]),
        "pause": lambda: engine.pause(instance()),
        "logs": lambda: engine.output(instance()),
        "remove_container": lambda: engine.destroy([instance()]),
    }
    assert f"the Docker engine does not answer: {failure}" in fails(EnvironmentBroken, work[method])


def test_missing_container_is_named(engine: DockerEngine, api: FakeApi) -> None:
    api.fails["pause"] = [refusal(404, "No such container: clab-x-hq", NotFound)]
    assert fails(EnvironmentBroken, lambda: engine.pause(instance())).startswith("hq: it is gone")


# --- images ------------------------------------------------------------------------------------------------


def missing() -> APIError:
    return refusal(404, "No such image: node:1", ImageNotFound)


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("alpine:3", "alpine", "3"),
        ("alpine", "alpine", "latest"),
        ("example.org:5000/x/y", "example.org:5000/x/y", "latest"),
        ("example.org:5000/x/y:2", "example.org:5000/x/y", "2"),
    ],
)
def test_missing_image_is_pulled_once(
    engine: DockerEngine, api: FakeApi, image: str, repository: str, tag: str
) -> None:
    api.fails["create_container"] = [missing(), None]
    engine.launch(node_spec(image=image))
    ((args, kwargs),) = [(args, kwargs) for name, args, kwargs in api.calls if name == "pull"]
    assert (args, kwargs["tag"]) == ((repository,), tag)
    assert api.names().count("create_container") == 2


@pytest.mark.parametrize("failure", [refusal(404, "manifest unknown"), requests.ConnectionError("no network")])
def test_failed_pull_names_node_and_image(engine: DockerEngine, api: FakeApi, failure: Exception) -> None:
    api.fails["create_container"] = [missing()]
    api.fails["pull"] = [failure]
    text = fails(InputError, lambda: engine.launch(node_spec()))
    assert "node 'hq': image 'node:1' does not exist on this host and cannot be pulled" in text
    assert ("manifest unknown" if isinstance(failure, APIError) else "no network") in text


def test_pull_that_fails_in_its_answer_names_node_and_image(engine: DockerEngine, api: FakeApi) -> None:
    """Podman's answer has the status 200 and the error in its text."""
    api.fails["create_container"] = [missing()]
    api.pulled.append({"error": "pinging container registry: no such host"})
    text = fails(InputError, lambda: engine.launch(node_spec()))
    assert "node 'hq': image 'node:1' does not exist on this host and cannot be pulled (pinging" in text


def test_pull_policy_never_forbids_pulling(engine: DockerEngine, api: FakeApi) -> None:
    api.fails["create_container"] = [missing()]
    fails(InputError, lambda: engine.launch(node_spec(image_pull_policy="Never")))
    assert "pull" not in api.names()


def test_pull_policy_always_pulls_first(engine: DockerEngine, api: FakeApi) -> None:
    engine.launch(node_spec(image_pull_policy="Always"))
    assert api.names()[:2] == ["pull", "create_container"]


def test_foreign_image_is_not_built(engine: DockerEngine) -> None:
    said: list[str] = []
    assert engine.provide("alpine:3", said.append) == "alpine:3"
    assert said == []


# --- what exists -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("created", NodeState.CREATED),
        ("running", NodeState.RUNNING),
        ("restarting", NodeState.RUNNING),
        ("paused", NodeState.PAUSED),
        ("removing", NodeState.STOPPED),
        ("exited", NodeState.STOPPED),
        ("dead", NodeState.STOPPED),
    ],
)
def test_docker_states_map_to_node_states(engine: DockerEngine, api: FakeApi, status: str, state: NodeState) -> None:
    api.state["Status"] = status
    assert engine.launch(node_spec()).state is state


@pytest.mark.parametrize(("runs", "state"), [(True, NodeState.RUNNING), (False, NodeState.STOPPED)])
def test_unknown_state_follows_the_running_flag(
    engine: DockerEngine, api: FakeApi, runs: bool, state: NodeState
) -> None:
    api.state |= {"Status": "stopping", "Running": runs}
    assert engine.launch(node_spec()).state is state


def test_launch_returns_the_instance(engine: DockerEngine) -> None:
    launched = engine.launch(node_spec(owner="42-7"))
    assert launched == Instance(
        "x",
        "hq",
        "clab-x-hq",
        "node:1",
        NodeState.RUNNING,
        Path("/labs/x"),
        owner="42-7",
        pid=4711,
        digest="sha256:0123",
    )
    assert launched.namespace.path == "/proc/4711/ns/net"
    assert launched.root == Path("/proc/4711/root")


def test_find_filters_by_label(engine: DockerEngine, api: FakeApi) -> None:
    engine.launch(node_spec())
    api.listed = ["one", "two"]
    assert len(engine.find("x")) == 2
    assert len(engine.find()) == 2
    asked = [kwargs for name, _, kwargs in api.calls if name == "containers"]
    assert [a["filters"]["label"] for a in asked] == [f"{LABEL_LAB}=x", LABEL_LAB]
    assert all(a["all"] for a in asked), "stopped nodes are listed too"


def test_find_skips_containers_removed_meanwhile(engine: DockerEngine, api: FakeApi) -> None:
    engine.launch(node_spec())
    api.listed = ["one", "two"]
    api.fails["inspect_container"] = [refusal(404, "No such container", NotFound), None]
    assert len(engine.find("x")) == 1


@pytest.mark.parametrize(
    "failure",
    [refusal(404, "No such container", NotFound), refusal(409, "removal of container is already in progress")],
    ids=["gone", "going"],
)
def test_destroy_ignores_removed_containers(engine: DockerEngine, api: FakeApi, failure: Exception) -> None:
    api.fails["remove_container"] = [failure]
    engine.destroy([instance(), instance()])
    removed = [kwargs for name, _, kwargs in api.calls if name == "remove_container"]
    assert removed == [{"force": True, "v": True}] * 2


def test_destroy_of_nothing_makes_no_request(engine: DockerEngine, api: FakeApi) -> None:
    engine.destroy([])
    assert api.calls == []


def test_destroy_reports_failures(engine: DockerEngine, api: FakeApi) -> None:
    api.fails["remove_container"] = [refusal(500, "device or resource busy")]
    assert "busy" in fails(EnvironmentBroken, lambda: engine.destroy([instance()]))
