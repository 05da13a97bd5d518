"""The manifests of a cluster on Kubernetes, against its schemas."""

from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from lab.catalogue import load
from lab.cli.app import app
from lab.cluster.capabilities import HOST
from lab.cluster.manifests import manifests
from lab.core.errors import InputError

SETTINGS: Mapping[str, Any] = {
    "image": "registry.example/lab:1",
    "workers": 3,
    "cpus": "2",
    "memory": "4Gi",
    "port": 8786,
}
VERSIONS = ("1.30", kubernetes_validate.latest_version())


def rendered(**changed: Any) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifests(**{**SETTINGS, **changed})))


def pods() -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in rendered() if m["kind"] == "Deployment"}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_the_manifests(version: str) -> None:
    for manifest in rendered():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_schema_refuses_a_mistake() -> None:
    """The validator is one: a key that Kubernetes does not know is found."""
    (scheduler, *_) = [manifest for manifest in rendered() if manifest["kind"] == "Deployment"]
    scheduler["spec"]["template"]["spec"]["containers"][0]["securityContext"]["priviledged"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(scheduler, VERSIONS[0], strict=True)


def test_pods_are_not_privileged() -> None:
    for spec in pods().values():
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        for container in spec["containers"]:
            assert container["securityContext"]["privileged"] is False
    scheduler, worker = (pods()[name]["containers"][0]["securityContext"] for name in ("lab-scheduler", "lab-worker"))
    assert scheduler["capabilities"] == {"drop": ["ALL"]}
    assert scheduler["seccompProfile"] == {"type": "RuntimeDefault"}
    assert worker["capabilities"] == {"drop": ["ALL"], "add": list(HOST)}


def test_hosts_of_the_topology_have_the_same_capabilities() -> None:
    hosts = [node for node in load("cluster").nodes.values() if not node.is_bridge]
    assert [set(node.cap_add) for node in hosts] == [set(HOST)] * 4


def test_worker_has_the_device_of_tunnels_and_one_machine() -> None:
    spec = pods()["lab-worker"]
    assert {"name": "tun", "hostPath": {"path": "/dev/net/tun", "type": "CharDevice"}} in spec["volumes"]
    (rule,) = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"


def test_certificates_are_readable_for_the_owner_only() -> None:
    for name, spec in pods().items():
        assert {"name": "certs", "secret": {"secretName": name, "defaultMode": 0o400}} in spec["volumes"]


def test_commands_of_the_pods_exist() -> None:
    for spec in pods().values():
        (container,) = spec["containers"]
        program, *words = container.get("command") or container["args"]
        assert program == "lab"
        result = CliRunner().invoke(app, words)
        assert "/certs has no ca.pem" in str(result.exception) + result.output


@pytest.mark.parametrize("changed", [{"image": "a b"}, {"cpus": "two"}, {"memory": "4 GiB"}, {"image": "a\nb: c"}])
def test_values_that_kubernetes_does_not_read_are_refused(changed: dict[str, str]) -> None:
    with pytest.raises(InputError, match="is not "):
        rendered(**changed)
