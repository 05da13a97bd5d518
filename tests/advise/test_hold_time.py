"""The trial of `hold-time` where something else than the hold timer ends the session of BGP."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.advise import subjects_of_topology
from lab.check.advised.timers import hold_time
from lab.runtime.lab import Lab
from tests.helpers.advised import ADDRESS, ALL, SERVER, Pair, deployed, scene_of, with_bfd

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

WITHIN = 90
PAIR = Pair("watched", SERVER, options=ADDRESS + ALL, routers=with_bfd(3, 300))
"""BFD ends the session within seconds, OpenVPN restarts after a minute."""
HOLD = 180


@pytest.fixture
def lab(tmp_path: Path, lab_openvpn: str) -> Iterator[Lab]:
    with deployed(tmp_path, lab_openvpn, [PAIR]) as lab:
        yield lab


def test_session_that_ends_too_soon_for_its_hold_time_shows_nothing(lab: Lab) -> None:
    scene = scene_of(lab, PAIR, {subject.name: subject for subject in subjects_of_topology(lab.topology)})
    lab.router(PAIR.client_node).expect_bfd(PAIR.server_node, within=WITHIN)
    found = hold_time(scene, "client")
    assert found.happened, found
    lab.router(PAIR.client_node).expect_bfd(PAIR.server_node, within=WITHIN)
    found = hold_time(replace(scene, hold=HOLD), "client")
    assert found.happened is None, found
    assert "too soon for its hold time of 180 s" in found.seen
