"""Findings of `lab doctor` for fake hosts."""

import subprocess
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.host import docker_engine, doctor, oci_runtime
from lab.host.doctor import GIB, kvm_finding


@pytest.mark.parametrize(("version", "status"), [((3, 10, 9), "missing"), ((3, 11, 0), "ok"), ((3, 14, 1), "ok")])
def test_python(version: tuple[int, int, int], status: str) -> None:
    assert doctor.python_finding(version).status == status


def test_root_finding_has_a_matching_remedy() -> None:
    assert doctor.root_finding(0, sudo=False).detail == "running as root"
    assert doctor.root_finding(0, sudo=False, outside=1000).detail == "uid 1000, in a user namespace"
    assert "sudo" in doctor.root_finding(1000, sudo=True).remedy
    assert "as root" in doctor.root_finding(1000, sudo=False).remedy


def test_kernel_findings_distinguish_required_features() -> None:
    veth, netem, tun = doctor.kernel_findings({"veth": None, "netem": "No such file", "tun": "No such device"})
    assert (veth.name, veth.status, veth.required) == ("kernel: veth", "ok", True)
    assert (netem.status, netem.required, netem.detail) == ("missing", False, "No such file")
    assert (tun.status, tun.required) == ("missing", True)
    assert netem.remedy != tun.remedy


def test_untried_kernel_features_are_unknown() -> None:
    (finding,) = doctor.kernel_findings("not tried: unshare failed")
    assert finding.status == "unknown"
    assert finding.remedy


@pytest.mark.parametrize(
    ("device", "why"),
    [("/dev/nowhere", "/dev/nowhere: No such file or directory"), ("/dev/null", "Inappropriate ioctl for device")],
)
def test_missing_or_broken_kvm_is_missing(device: str, why: str) -> None:
    finding = kvm_finding(Path(device))
    assert (finding.status, finding.detail, finding.required) == ("missing", why, False)


@pytest.mark.parametrize(("available", "status"), [(None, "unknown"), (GIB // 2, "missing"), (3 * GIB, "ok")])
def test_amounts(available: int | None, status: str) -> None:
    finding = doctor.amount_finding("memory", available, GIB, "free some")
    assert finding.status == status
    assert (finding.remedy == "free some") is (status == "missing")


def test_available_memory_is_read_from_meminfo() -> None:
    assert doctor.available_memory("MemTotal:  9 kB\nMemAvailable:    2048 kB\n") == 2048 * 1024
    assert doctor.available_memory("MemTotal:  9 kB\n") is None


PODMAN = docker_engine.refuse_podman("unix:///x", {"Components": [{"Name": "Podman Engine", "Version": "3.0.1"}]})


@pytest.mark.parametrize(
    ("error", "detail", "remedy"),
    [
        (
            "no Docker engine answers at unix:///x: install docker.io",
            "no Docker engine answers at unix:///x",
            "install",
        ),
        (PODMAN, "the engine at unix:///x is Podman 3.0.1, whose interface for", "install Podman 4"),
        ("engine: the Docker engine does not answer: timed out; check dockerd", "does not answer", "timed out"),
    ],
)
def test_engine_that_cannot_be_used_is_missing_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, error: str, detail: str, remedy: str
) -> None:
    def connect() -> None:
        raise EnvironmentBroken(error)

    monkeypatch.setattr(docker_engine, "connect", connect)
    (finding,) = doctor.docker_findings()
    assert (finding.name, finding.status, finding.required) == ("Docker engine", "missing", True)
    assert detail in finding.detail
    assert finding.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("code", "out", "err", "probe"),
    [
        (
            0,
            '{"veth": null, "ovpn": "Operation not supported"}',
            "",
            {"veth": None, "ovpn": "Operation not supported"},
        ),
        (
            1,
            "",
            "x\nunshare: unshare failed: Operation not permitted\n",
            "not tried: unshare: unshare failed: Operation not permitted",
        ),
        (1, "", "", "not tried: no reason given"),
    ],
)
def test_probe_output_is_parsed(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str, probe: object) -> None:
    done = subprocess.CompletedProcess([], code, out, err)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert doctor.probe_kernel() == probe


def test_probe_without_unshare_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise FileNotFoundError("unshare")

    monkeypatch.setattr(subprocess, "run", run)
    assert doctor.probe_kernel() == "not tried: unshare"


OK, MISSING = doctor.Finding("x", "ok", ""), doctor.Finding("x", "missing", "")
BUILDAH = doctor.Finding("buildah", "missing", "", required=False)


@pytest.mark.parametrize(
    ("docker", "crun", "chosen", "needed"),
    [
        ([OK], [MISSING, BUILDAH], "", [True, False, False]),
        ([MISSING], [OK, BUILDAH], "", [False, True, False]),
        ([OK], [OK, BUILDAH], "", [True, True, False]),
        ([MISSING], [MISSING, BUILDAH], "", [True, True, False]),
        ([OK], [MISSING, BUILDAH], "crun", [False, True, False]),
        ([MISSING], [OK, BUILDAH], "docker", [True, False, False]),
        ([MISSING], [OK, MISSING], "", [True, True, True]),
    ],
)
def test_a_lab_needs_the_chosen_engine_or_either(
    docker: list[doctor.Finding], crun: list[doctor.Finding], chosen: str, needed: list[bool]
) -> None:
    assert [finding.required for finding in doctor.engine_findings(docker, crun, chosen)] == needed


def test_missing_runtime_and_builder_have_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(oci_runtime, "_SYSTEM", ())
    monkeypatch.setattr(oci_runtime, "_HYBRID", tmp_path / "unified")
    runtime, builder, *_ = doctor.crun_findings()
    assert (runtime.name, runtime.status, runtime.remedy) == (
        doctor.CRUN,
        "missing",
        "run `apt-get install crun` as root",
    )
    assert (builder.name, builder.status, builder.required) == ("buildah", "missing", False)
