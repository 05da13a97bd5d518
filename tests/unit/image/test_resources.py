"""Files that come with the lab are found by name."""

from pathlib import Path

import pytest

from lab.catalogue import topologies as resources
from lab.core.errors import InputError
from lab.image.recipe import images_dir


def test_node_image_and_topologies_are_installed() -> None:
    assert (images_dir() / "node" / "Dockerfile").is_file()
    assert "article" in resources.topology_names()


def test_topology_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    assert resources.find_topology("article") == resources.topologies_dir() / "article.clab.yml"
    mine = tmp_path / "mine.clab.yml"
    mine.touch()
    assert resources.find_topology(mine) == mine


@pytest.mark.parametrize("name", ["artikle", "../article", "none/article", ""])
def test_unknown_topology_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match="article"):
        resources.find_topology(name)
