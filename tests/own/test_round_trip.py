"""Files that the lab renders, imported again: a lab with the same tunnels, routes and packets."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.catalogue import load
from tests.helpers.own_files import own_name
from tests.helpers.round_trip import compare

pytestmark = [pytest.mark.docker]


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("article", {}),
        ("ospf", {}),
        ("frr-bird", {}),
        *(
            pytest.param(name, variables, marks=pytest.mark.thorough)
            for name, variables in (
                *(("p2p-tls", {}), ("p2p-static-key", {}), ("tap-hub", {}), ("fixed-routes", {}), ("rip", {})),
                *(("hub-and-spokes", {}), ("dual-homed", {}), ("dual-homed", {"DAEMON": "bird"})),
            )
        ),
    ],
)
def test_lab_of_imported_files_has_the_same_verdicts(name: str, variables: Mapping[str, str], tmp_path: Path) -> None:
    compare(load(name, name=own_name("rendered"), variables=variables), tmp_path)
