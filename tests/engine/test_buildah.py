"""Images without Docker: buildah builds the nodes' image, which the engine crun unpacks and runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.process import this_process
from lab.engine.crun.engine import CrunEngine
from lab.host.oci_runtime import is_installed
from lab.image import VERSIONS, buildah, store, tag
from lab.runtime.lab import Lab
from tests.helpers.labs import PAIR, new_name, topology

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed"),
    pytest.mark.skipif(not is_installed(), reason="neither crun nor runc is installed"),
]


def no_docker() -> None:
    raise EnvironmentBroken("no Docker engine answers")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory of the test's own, and no Docker."""
    data = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        for module in (store, buildah):
            patched.setattr(module, "data_directory", lambda: data)
        patched.setattr(buildah, "runtime_directory", lambda: data)
        patched.setattr("lab.host.docker_engine.connect", no_docker)
        yield data
        store.remove_unpacked(lambda _: None)
        assert [path.name for path in (data / "images").iterdir()] == []
        assert not (data / "buildah" / "overlay").exists()


def test_built_image_runs_and_cannot_be_removed_under_a_lab(data: Path, tmp_path: Path) -> None:
    engine = CrunEngine()
    said: list[str] = []
    lab = Lab.deploy(
        topology(tmp_path, new_name(), PAIR),
        engine=engine,
        directory=tmp_path / "lab",
        owner=this_process(),
        say=said.append,
    )
    try:
        assert any("with buildah" in line for line in said), said
        one, two = lab.host("one"), lab.host("two")
        one.expect_reaches(two.address("ipv4"))
        one.expect_reaches(two.address("ipv6"))
        assert "OpenVPN 2.6" in one.exec("openvpn", "--version").stdout
        assert one.exec("stat", "-c", "%U:%G", "/run/frr").stdout == "frr:frr\n"
        with pytest.raises(
            EnvironmentBroken, match=r"cannot be removed: node clab-\S+ uses it; take its lab down first"
        ):
            store.remove_unpacked(said.append)
        assert not two.exec("true").failed
    finally:
        lab.destroy()
    assert engine.provide(f"openvpn-routing-lab/node:{VERSIONS[0]}", no_line) == tag(VERSIONS[0])


def no_line(line: str) -> None:
    raise AssertionError(f"an image that exists was built again: {line}")
