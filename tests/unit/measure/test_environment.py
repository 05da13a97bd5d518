"""The environment in a record of trials: software versions and digests of the images that ran."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lab.engine import Instance, NodeState
from lab.measure.trials.environment import environment


class FakeLab:
    """A lab with one node, whose OpenVPN has some version."""

    def __init__(self, digest: str, openvpn: str) -> None:
        state, path = NodeState.RUNNING, Path("/nowhere")
        self.nodes = {"hq": Instance("l", "hq", "clab-l-hq", "node:2.7", state, path, digest=digest)}
        self._openvpn = openvpn

    def node(self, name: str) -> Any:
        assert name == "hq"
        return SimpleNamespace(exec=lambda *_: SimpleNamespace(stdout=f"openvpn {self._openvpn}\nfrr 10.3\n"))


def recorded(*labs: FakeLab) -> Any:
    engine: Any = SimpleNamespace(version=lambda: "Docker 28.0.1")
    found: Any = list(labs)
    return environment(found, engine)


def test_environment_records_versions_and_digest_of_an_image() -> None:
    found = recorded(FakeLab("sha256:a", "2.7.8"), FakeLab("sha256:a", "2.7.8"))
    assert found.images == {"node:2.7": "sha256:a"}
    assert found.versions == {"openvpn": "2.7.8", "frr": "10.3"}


def test_environment_records_both_images_of_a_tag_that_moved() -> None:
    found = recorded(FakeLab("sha256:a", "2.7.8"), FakeLab("sha256:b", "2.7.9"))
    assert found.images == {"node:2.7": "sha256:a, sha256:b"}
    assert found.versions["openvpn"] == "2.7.8, 2.7.9"
