"""The hub whose kernel carries the data, imported from its rendered files: a lab with the same verdicts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import load
from lab.topology import Topology
from tests.helpers.dco import expect_kernel
from tests.helpers.own_files import deployed, observed, own_name
from tests.helpers.round_trip import expect_same, imported, verdicts

pytestmark = [pytest.mark.docker, pytest.mark.needs_kernel("ovpn")]

OPENVPN = "2.7"


@pytest.fixture
def rendered() -> Topology:
    return load("dco-hub", name=own_name("rendered"), openvpn=OPENVPN)


@pytest.fixture
def wanted(rendered: Topology, tmp_path: Path) -> Mapping[str, Any]:
    """The verdicts of the lab that renders its files."""
    with deployed(rendered, tmp_path / "rendered-lab") as lab:
        expect_kernel(lab)
        return verdicts(observed(lab))


def test_imported_hub_has_the_same_verdicts(rendered: Topology, wanted: Mapping[str, Any], tmp_path: Path) -> None:
    assert any(wanted["packets"].values())
    with deployed(imported(rendered, tmp_path, openvpn=OPENVPN), tmp_path / "imported-lab") as lab:
        expect_same(lab, wanted, within=120)
        expect_kernel(lab)
