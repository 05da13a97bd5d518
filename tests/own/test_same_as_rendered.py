"""A file of one's own and the same thing rendered by the lab give the same observations."""

from pathlib import Path

import pytest

from lab.catalogue import load
from tests.helpers.own_files import as_own_files, deployed, observed, own_name
from tests.helpers.round_trip import expect_same

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
    with deployed(rendered, tmp_path / "rendered") as lab:
        wanted = observed(lab)
    assert any(wanted["packets"].values())
    assert len(wanted["rib"]) > 2
    with deployed(own, tmp_path / "files") as lab:
        expect_same(lab, wanted, within=60, compared=dict)
