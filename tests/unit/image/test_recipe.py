"""The digest in an image's tag: it changes with every input and with nothing else."""

import shutil
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.image import NODE_IMAGE, VERSIONS, recipe, tag
from lab.image.recipe import images_dir

NODE = recipe.node("2.6")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A copy of the build context that a test may change."""
    return Path(shutil.copytree(NODE.context, tmp_path / "node"))


def digest(context: Path) -> str:
    return recipe.digest_of(context, NODE.build_args)


def test_tag_names_the_version_and_twelve_digits() -> None:
    name, _, rest = tag("2.7").partition(":")
    version, _, digest = rest.partition("-")
    assert (name, version) == (NODE_IMAGE, "2.7")
    assert len(digest) == 12
    assert int(digest, 16) >= 0


def test_alias_does_not_move_with_the_digest() -> None:
    assert recipe.alias("2.6") == "openvpn-routing-lab/node:2.6"


def test_same_inputs_give_the_same_digest_wherever_they_lie(context: Path) -> None:
    assert digest(context) == digest(NODE.context) == NODE.reference.rpartition("-")[2]


def test_versions_differ() -> None:
    assert len({tag(version) for version in VERSIONS}) == len(VERSIONS)


def test_changed_dockerfile_is_noticed(context: Path) -> None:
    before = digest(context)
    with (context / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("\n")
    assert digest(context) != before


def test_new_file_is_noticed(context: Path) -> None:
    before = digest(context)
    (context / "more").mkdir()
    (context / "more" / "file").touch()
    assert digest(context) != before


def test_renamed_file_is_noticed(context: Path) -> None:
    (context / "one").touch()
    before = digest(context)
    (context / "one").rename(context / "two")
    assert digest(context) != before


def test_executable_bit_is_noticed(context: Path) -> None:
    script = context / "script"
    script.touch(0o644)
    before = digest(context)
    script.chmod(0o755)
    assert digest(context) != before


def test_changed_argument_is_noticed() -> None:
    assert recipe.Recipe("node", "", {"NEW": "1"}).reference != recipe.Recipe("node", "", {"NEW": "2"}).reference


def test_every_directory_of_images_is_one_images_context() -> None:
    for directory in images_dir().iterdir():
        dockerfile = (directory / "Dockerfile").read_text()
        assert f"LABEL {recipe.IMAGE_LABEL}={directory.name}" in dockerfile  # what `lab clean` removes it by
        assert "ARG BASE=" in dockerfile


@pytest.mark.parametrize("part", ["MMDEBSTRAP", "DEBOOTSTRAP", "OFFICIAL_BASE"])
def test_changed_base_is_noticed(context: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    before = digest(context)
    monkeypatch.setattr(recipe, part, "something else")
    assert digest(context) != before


def test_unknown_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'2\.5'.*2\.6, 2\.7"):
        tag("2.5")


@pytest.mark.parametrize("name", recipe.beside())
def test_each_image_for_topologies_is_made_on_the_labs_base(name: str) -> None:
    image = recipe.for_topologies(name)
    dockerfile = (image.context / "Dockerfile").read_text()
    assert "ARG BASE=openvpn-routing-lab/base:trixie\nFROM ${BASE}\n" in dockerfile
    assert f"LABEL openvpn-routing-lab.image={name}\n" in dockerfile
    assert recipe.is_ours(image.reference)
    assert recipe.is_ours(recipe.repository(name))


def test_what_only_begins_like_an_image_of_the_lab_is_none() -> None:
    assert recipe.is_ours(recipe.alias("2.6"))
    for other in ("alpine:3", "openvpn-routing-lab/nodes:2.6", "openvpn-routing-lab/vm:1"):
        assert not recipe.is_ours(other)
