"""Building images with a fake engine: what is built, printed and reported."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError, ImageNotFound

from lab.core.errors import EnvironmentBroken, InputError
from lab.image import build, recipe


class FakeImage:
    def __init__(self, engine: "FakeEngine", names: list[str], labels: dict[str, str]) -> None:
        self.engine, self.tags, self.labels = engine, names, labels
        self.id = f"sha256:{len(engine.stored)}"

    def tag(self, repository: str, tag: str) -> None:
        self.tags.append(f"{repository}:{tag}")


class FakeEngine:
    """The part of a Docker client that building needs; it is its own `api` and `images`."""

    def __init__(self, output: list[dict[str, str]] | None = None) -> None:
        self.api = self.images = self
        self.output = output or [{"stream": "Step 1/1 : FROM x\n"}, {"stream": "Successfully built\n"}]
        self.stored: list[FakeImage] = []
        self.builds: list[str] = []
        self.store([recipe.BASE_IMAGE], "base")

    def store(self, names: list[str], kind: str) -> None:
        labels = {recipe.IMAGE_LABEL: kind, recipe.RECIPE_LABEL: recipe.base_digest()}
        self.stored.append(FakeImage(self, names, labels))

    def get(self, name: str) -> FakeImage:
        for image in self.stored:
            if name in image.tags:
                return image
        raise ImageNotFound(name)

    def list(self, filters: dict[str, str]) -> list[FakeImage]:
        return [image for image in self.stored if filters["label"] in image.labels]

    def remove(self, name: str) -> None:
        for image in self.stored:
            if name in image.tags:
                image.tags.remove(name)
        self.stored = [image for image in self.stored if image.tags and image.id != name]

    def build(self, tag: str, **options: Any) -> Iterator[dict[str, str]]:
        self.builds.append(tag)
        assert options["network_mode"] == "host"
        yield from self.output
        if not any("error" in event for event in self.output):
            self.store([tag], "node")

    def client(self) -> docker.DockerClient:
        return cast(docker.DockerClient, self)


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_missing_image_is_built_once_and_gets_two_tags(tmp_path: Path) -> None:
    engine, said = FakeEngine(), list[str]()
    for _ in range(2):
        assert build.ensure(engine.client(), "2.6", said.append) == recipe.tag("2.6")
    assert engine.builds == [recipe.tag("2.6")]
    assert engine.get(recipe.alias("2.6")) is engine.get(recipe.tag("2.6"))
    assert "Step 1/1 : FROM x" in said
    assert not list(tmp_path.glob("*.log")), "the output of a successful build is not kept"


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> recipe.Recipe:
    """A directory of images with one for topologies, besides the node's and the browser's."""
    for name in ("node", "browser", "servers"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "Dockerfile").write_text("# Servers for clients: DNS.\nFROM scratch\n")
    monkeypatch.setattr(recipe, "images_dir", lambda: tmp_path / "images")
    return recipe.for_topologies("servers")


@pytest.mark.parametrize("tag", ["", ":latest"])
def test_image_named_by_a_topology_is_built_from_its_directory(servers: recipe.Recipe, tag: str) -> None:
    engine, said = FakeEngine(), list[str]()
    for _ in range(2):
        assert build.provide(engine.client(), f"openvpn-routing-lab/servers{tag}", said.append) == servers.reference
    assert engine.builds == [servers.reference]
    assert engine.get("openvpn-routing-lab/servers:latest") is engine.get(servers.reference)
    assert "(Servers for clients)" in said[0]
    assert recipe.topology_images() == ("servers",)


def test_node_image_named_by_a_topology_is_built_for_its_version() -> None:
    engine = FakeEngine()
    assert build.provide(engine.client(), recipe.alias("2.7"), print) == recipe.tag("2.7")
    assert engine.builds == [recipe.tag("2.7")]


@pytest.mark.parametrize(
    "image", ["alpine:3", "openvpn-routing-lab/servers:0123456789ab", "openvpn-routing-lab/servers@sha256:0"]
)
def test_foreign_images_are_not_built(servers: recipe.Recipe, image: str) -> None:
    engine = FakeEngine()
    assert build.provide(engine.client(), image, print) == image
    assert not engine.builds


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("name", ["browser", "sorcerers"])
def test_unknown_image_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=f"image openvpn-routing-lab/{name} does not exist: use one of node, servers"):
        build.provide(FakeEngine().client(), f"openvpn-routing-lab/{name}", print)


def test_existing_image_is_not_built_and_prints_nothing() -> None:
    engine, said = FakeEngine(), list[str]()
    engine.store([recipe.tag("2.7"), recipe.alias("2.7")], "node")
    build.ensure(engine.client(), "2.7", said.append)
    assert said == []
    assert engine.builds == []


def test_failed_build_is_one_line_with_the_path_of_its_log(tmp_path: Path) -> None:
    engine = FakeEngine(
        [
            {"stream": "\x1b[91mE: Unable to locate package frrr\n\x1b[0m"},
            {"error": "The command '/bin/sh -c …' returned a non-zero code: 100"},
        ]
    )
    with pytest.raises(EnvironmentBroken, match="Unable to locate package frrr") as caught:
        build.ensure(engine.client(), "2.6", lambda _: None)
    (log,) = tmp_path.glob("*.log")
    assert str(log) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Unable to locate" in log.read_text()


def test_engine_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()

    def fail(name: str) -> FakeImage:
        raise APIError("500 Server Error")

    monkeypatch.setattr(engine, "get", fail)
    with pytest.raises(EnvironmentBroken, match="cannot be asked for"):
        build.ensure(engine.client(), "2.6", lambda _: None)


@pytest.mark.parametrize(
    ("error", "output"),
    [
        ("write /x/layer.tar: no space left on device", ""),
        (
            "returned a non-zero code: 100",
            "dpkg: error: failed to write: No space left on device\nE: dpkg failed\n",
        ),
    ],
)
def test_full_disk_is_named(error: str, output: str) -> None:
    assert "the disk is full" in str(build.explain(error, output, "node:2.6", Path("/tmp/x.log")))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Step 3/9 : RUN  apt-get   update\n", "Step 3/9 : RUN apt-get update"),
        ("Step 4/9 : LABEL a=b", None),
        ("Need to get 19.7 MB of archives.", "  Need to get 19.7 MB of archives."),
        ("Setting up frr (10.3-1) ...", None),
        ("", None),
    ],
)
def test_headline_shows_steps_that_take_time(line: str, shown: str | None) -> None:
    assert build.headline(line) == shown


def test_headline_shortens_a_long_step() -> None:
    shown = build.headline("Step 1/2 : RUN " + "x" * 500)
    assert shown is not None
    assert len(shown) == 100


def test_remove_all_keeps_foreign_images() -> None:
    engine = FakeEngine()
    engine.store([recipe.tag("2.6"), recipe.alias("2.6")], "node")
    engine.store(["somebody/elses:made-from-ours"], "node")
    build.remove_all(engine.client(), lambda _: None)
    assert [image.tags for image in engine.stored] == [["somebody/elses:made-from-ours"]]
