"""Containers that are not nodes, with a fake Docker client."""

from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.errors import APIError, ContainerError, NotFound

from lab.core.errors import EnvironmentBroken, InputError
from lab.engine import Mount
from lab.engine.docker.containers import Container, Containers, ContainerSpec


def refusal(status: int, why: str, kind: type[APIError] = APIError) -> APIError:
    response = requests.Response()
    response.status_code = status
    return kind(f"{status} Server Error", response=response, explanation=why)


class FakeContainer:
    """A container of the fake client."""

    def __init__(self, identity: str, status: str = "running") -> None:
        self.id, self.status, self.labels = identity, status, {"colour": "red"}
        self.removed: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def logs(self, tail: int) -> bytes:
        return f"last {tail} lines\n".encode()

    def remove(self, **options: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.removed.append(options)


class FakeClient:
    """A Docker client, which is its own `containers`."""

    def __init__(self, *containers: FakeContainer) -> None:
        self.containers = self
        self.there = {container.id: container for container in containers}
        self.ran: list[dict[str, Any]] = []
        self.listed: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def run(self, image: str, argv: list[str], **options: Any) -> FakeContainer:
        if self.failure is not None:
            raise self.failure
        self.ran.append({"image": image, "argv": argv, **options})
        return FakeContainer("new")

    def get(self, name: str) -> Any:
        if name not in self.there:
            raise refusal(404, f"No such container: {name}", NotFound)
        return self.there[name]

    def list(self, **options: Any) -> list[FakeContainer]:
        self.listed.append(options)
        return list(self.there.values())


def containers(client: FakeClient) -> Containers:
    return Containers(client)  # type: ignore[arg-type]


SPEC = ContainerSpec(
    "image:1",
    ["boot"],
    "lab-vm",
    ["CHOWN"],
    devices=["/dev/kvm"],
    environment={"MEMORY": "1"},
    mounts=[Mount(Path("/here"), PurePosixPath("/share"), read_only=False), Mount(Path("/usr"), PurePosixPath("/usr"))],
    labels={"colour": "red"},
)


def test_container_starts_without_network_and_other_privileges() -> None:
    client = FakeClient()
    assert containers(client).start(SPEC) == Container("new", {"colour": "red"})
    (ran,) = client.ran
    assert (ran["image"], ran["argv"], ran["name"], ran["detach"]) == ("image:1", ["boot"], "lab-vm", True)
    assert (ran["network_mode"], ran["cap_drop"], ran["cap_add"]) == ("none", ["ALL"], ["CHOWN"])
    assert ran["security_opt"] == ["no-new-privileges"]
    assert (ran["devices"], ran["environment"], ran["labels"]) == (["/dev/kvm"], {"MEMORY": "1"}, {"colour": "red"})
    mounts = [(m["Source"], m["Target"], m["Type"], m["ReadOnly"]) for m in ran["mounts"]]
    assert mounts == [("/here", "/share", "bind", False), ("/usr", "/usr", "bind", True)]


def test_taken_name_is_an_input_error() -> None:
    client = FakeClient()
    client.failure = refusal(409, "Conflict")
    with pytest.raises(InputError, match="'lab-vm' exists already"):
        containers(client).start(SPEC)


def test_refused_start_is_one_sentence() -> None:
    client = FakeClient()
    client.failure = refusal(500, "error gathering device information:\nno such device")
    with pytest.raises(EnvironmentBroken, match="lab-vm: the engine refused: no such device"):
        containers(client).start(SPEC)


def test_succeeds_follows_the_exit_code() -> None:
    client = FakeClient()
    assert containers(client).succeeds("image:1", ["try-kvm"], ["/dev/kvm"])
    assert client.ran[0]["remove"]
    assert client.ran[0]["network_mode"] == "none"
    failed: Any = SimpleNamespace()
    client.failure = ContainerError(failed, 1, "try-kvm", "image:1", "")
    assert not containers(client).succeeds("image:1", ["try-kvm"])


def test_find_lists_stopped_containers_too() -> None:
    client = FakeClient(FakeContainer("one"), FakeContainer("two", "exited"))
    assert [found.id for found in containers(client).find("colour=red")] == ["one", "two"]
    assert client.listed == [{"all": True, "filters": {"label": "colour=red"}, "ignore_removed": True}]


@pytest.mark.parametrize(("name", "running"), [("one", True), ("two", False), ("missing", False)])
def test_only_an_existing_running_container_is_running(name: str, running: bool) -> None:
    assert containers(FakeClient(FakeContainer("one"), FakeContainer("two", "exited"))).is_running(name) is running


def test_output_returns_the_last_lines() -> None:
    assert containers(FakeClient(FakeContainer("one"))).output("one", 6) == "last 6 lines"
    with pytest.raises(EnvironmentBroken, match="missing: it is gone"):
        containers(FakeClient()).output("missing", 6)


def test_remove_kills_and_ignores_a_missing_container() -> None:
    container = FakeContainer("one")
    containers(FakeClient(container)).remove("one")
    assert container.removed == [{"force": True, "v": False}]
    containers(FakeClient()).remove("missing")
    container.failure = refusal(500, "device or resource busy")
    with pytest.raises(EnvironmentBroken, match="busy"):
        containers(FakeClient(container)).remove("one")
