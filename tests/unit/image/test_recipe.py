"""The digest in an image's tag, which changes with every input and nothing else."""

import shutil
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.image import NODE_IMAGE, OLD_VERSIONS, VERSIONS, recipe, tag
from lab.image.recipe import images_dir

NODE = recipe.node("2.6")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A writable copy of the build context."""
    return Path(shutil.copytree(NODE.context, tmp_path / "node"))


def digest(context: Path) -> str:
    return recipe.digest_of(context, NODE.build_args)


def test_tag_names_the_version_and_twelve_digits() -> None:
    name, _, rest = tag("2.7").partition(":")
    version, _, digest = rest.partition("-")
    assert (name, version) == (NODE_IMAGE, "2.7")
    assert len(digest) == 12
    assert int(digest, 16) >= 0


def test_alias_does_not_contain_the_digest() -> None:
    assert recipe.alias("2.6") == "openvpn-routing-lab/node:2.6"


def test_digest_does_not_depend_on_the_location(context: Path) -> None:
    assert digest(context) == digest(NODE.context) == NODE.reference.rpartition("-")[2]


def test_tags_of_versions_differ() -> None:
    versions = (*VERSIONS, *OLD_VERSIONS)
    assert len({tag(version) for version in versions}) == len(versions)


def test_digest_changes_with_changed_dockerfile(context: Path) -> None:
    before = digest(context)
    with (context / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("\n")
    assert digest(context) != before


def test_digest_changes_with_new_file(context: Path) -> None:
    before = digest(context)
    (context / "more").mkdir()
    (context / "more" / "file").touch()
    assert digest(context) != before


def test_digest_changes_with_renamed_file(context: Path) -> None:
    (context / "one").touch()
    before = digest(context)
    (context / "one").rename(context / "two")
    assert digest(context) != before


def test_digest_changes_with_executable_bit(context: Path) -> None:
    script = context / "script"
    script.touch(0o644)
    before = digest(context)
    script.chmod(0o755)
    assert digest(context) != before


def test_digest_changes_with_changed_argument() -> None:
    assert recipe.Recipe("node", "", {"NEW": "1"}).reference != recipe.Recipe("node", "", {"NEW": "2"}).reference


def test_every_directory_of_images_is_a_build_context() -> None:
    for directory in images_dir().iterdir():
        dockerfile = (directory / "Dockerfile").read_text()
        assert f"LABEL {recipe.IMAGE_LABEL}={directory.name}" in dockerfile  # `lab clean` finds it by this label
        assert "ARG BASE=" in dockerfile


@pytest.mark.parametrize("part", ["MMDEBSTRAP", "DEBOOTSTRAP", "OFFICIAL_BASE"])
def test_digest_changes_with_changed_base(context: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    before = digest(context)
    monkeypatch.setattr(recipe, part, "something else")
    assert digest(context) != before


def test_unknown_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'2\.4'.*2\.6, 2\.7, 2\.5, 2\.6\.3"):
        tag("2.4")


@pytest.mark.parametrize("name", recipe.topology_images())
def test_image_for_topologies_uses_the_base_image(name: str) -> None:
    image = recipe.for_topologies(name)
    dockerfile = (image.context / "Dockerfile").read_text()
    assert "ARG BASE=openvpn-routing-lab/base:trixie\nFROM ${BASE}\n" in dockerfile
    assert f"LABEL openvpn-routing-lab.image={name}\n" in dockerfile
    assert recipe.is_ours(image.reference)
    assert recipe.is_ours(recipe.repository(name))


def test_image_with_a_similar_name_is_foreign() -> None:
    assert recipe.is_ours(recipe.alias("2.6"))
    for other in ("alpine:3", "openvpn-routing-lab/nodes:2.6", "openvpn-routing-lab/vm:1"):
        assert not recipe.is_ours(other)
