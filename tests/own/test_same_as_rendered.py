"""A file of one's own and the same thing rendered by the lab give the same observations."""

from pathlib import Path

import pytest

from lab.catalogue import load
from tests.helpers.own_files import as_own_files, deployed, observed, own_name

pytestmark = [pytest.mark.docker]


@pytest.mark.parametrize(
    ("topology", "version"),
    [
        ("article", "2.6"),
        ("hub-and-spokes", "2.7"),
        pytest.param("p2p-tls", "2.7", marks=pytest.mark.thorough),
        pytest.param("tap-hub", "2.7", marks=pytest.mark.thorough),
        pytest.param("article", "2.7", marks=pytest.mark.thorough),
    ],
)
def test_own_files_and_rendered_ones_give_the_same_observations(topology: str, version: str, tmp_path: Path) -> None:
    rendered = load(topology, name=own_name("rendered"), openvpn=version)
    own = as_own_files(rendered, tmp_path, own_name("files"))
    assert {t.name: t.mode.startswith("own") for t in own.tunnels} == {t.name: True for t in rendered.tunnels}
    seen = []
    for number, each in enumerate((rendered, own)):
        with deployed(each, tmp_path / str(number)) as lab:
            seen.append(observed(lab))
    by_lab, by_user = seen
    assert any(by_lab["packets"].values())
    assert len(by_lab["rib"]) > 2
    for kind, found in by_lab.items():
        assert by_user[kind] == found, kind
