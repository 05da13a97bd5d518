"""Namespaces that nodes share, cgroups, and certificates for programs in nodes, as their topology asks for them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from lab.catalogue.withheld import withheld
from lab.core.process import this_process
from lab.engine import Engine
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name, topology

pytestmark = pytest.mark.docker

NODES = """
    nodes:
      beside: {pid-mode: container:first}
      first: {}
      asking: {pid-mode: host, cgroupns-mode: host}
      placed: {PARENT cgroupns-mode: private}
      web:
        certificate: {issue: true, sans: [web.example]}
        binds: [__clabDir__/.tls/web:/tls:ro, __clabDir__/.tls/ca/ca.pem:/ca.pem:ro]
"""


@pytest.fixture(scope="module", params=[False, True], ids=["as given", "privileged"])
def lab(
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Lab]:
    """A lab whose nodes ask for what is not theirs; tests in this module do not change it."""
    place = tmp_path_factory.mktemp("namespaces")
    name = new_name()
    nodes = NODES.replace("PARENT", f"cgroup-parent: /{name}," if engine.name == "docker" else "")
    read = topology(place, name, nodes).model_copy(update={"privileged": request.param})
    lab = Lab.deploy(read, engine=engine, directory=place / "lab", owner=this_process())
    yield lab
    lab.destroy()
    assert not (place / "lab").exists()
    root = Path("/sys/fs/cgroup")
    for parent in (root / name, *(controller / name for controller in root.iterdir())):  # it stays, as the note says
        with suppress(OSError):  # of no such controller, or of one under two names
            parent.rmdir()


def namespace(lab: Lab, node: str, kind: str) -> int:
    return os.stat(f"/proc/{lab.nodes[node].pid}/ns/{kind}").st_ino  # noqa: PTH116 - the link's target is not a path


def of_host(kind: str) -> int:
    return os.stat(f"/proc/self/ns/{kind}").st_ino  # noqa: PTH116


def test_processes_of_another_node_are_visible_and_no_others(lab: Lab) -> None:
    assert namespace(lab, "beside", "pid") == namespace(lab, "first", "pid")
    assert len({namespace(lab, node, "pid") for node in ("first", "placed", "web")}) == 3
    assert namespace(lab, "beside", "net") != namespace(lab, "first", "net")


def test_namespaces_of_the_host_need_consent(lab: Lab) -> None:
    for kind in ("pid", "cgroup"):
        assert (namespace(lab, "asking", kind) == of_host(kind)) is lab.topology.privileged
    notes = [remark.what for remark in withheld(lab.topology, lab.topology.privileged) if remark.node == "asking"]
    assert notes == (
        []
        if lab.topology.privileged
        else [
            "in a PID namespace of its own, not in the host's: --privileged grants the rest",
            "in a cgroup namespace of its own, not in the host's: --privileged grants the rest",
        ]
    )


def test_cgroup_namespace_is_private(lab: Lab) -> None:
    assert namespace(lab, "placed", "cgroup") != of_host("cgroup")


@pytest.mark.only_docker("has control groups of its own")
def test_cgroup_is_below_the_given_one(lab: Lab) -> None:
    cgroups = Path(f"/proc/{lab.nodes['placed'].pid}/cgroup").read_text()
    assert f"/{lab.name}/" in cgroups
    assert f"/{lab.name}/" not in Path(f"/proc/{lab.nodes['first'].pid}/cgroup").read_text()


def test_certificate_is_the_nodes_and_signed_by_the_authority(lab: Lab) -> None:
    def read(path: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(lab.node("web").exec("cat", path).raise_on_error().stdout.encode())

    certificate, authority = read("/tls/web.pem"), read("/ca.pem")
    certificate.verify_directly_issued_by(authority)
    assert lab.node("web").exec("stat", "-c", "%a", "/tls/web.key").stdout.strip() == "600"
    ours = x509.load_pem_x509_certificate((lab.directory / "pki" / "ca.crt").read_bytes())
    with pytest.raises(ValueError, match="issuer"):  # no node's certificate opens a tunnel
        certificate.verify_directly_issued_by(ours)
