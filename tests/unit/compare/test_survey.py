"""A survey in which no mode can be measured."""

from typing import Any, cast

from lab.compare.survey import Effort, Survey, survey
from lab.core.errors import EnvironmentBroken
from lab.engine import Engine
from lab.tunnel import modes


class Broken:
    """An engine that has just failed."""

    def require_supported(self, topology: Any) -> None:
        """Support everything, as long as it runs."""

    def find(self, lab: str | None = None) -> list[Any]:
        raise EnvironmentBroken("the engine is gone")


def surveyed(mode: str, *versions: str) -> tuple[Survey, list[str]]:
    said: list[str] = []
    found = survey(
        [modes()[mode]],
        engine=cast(Engine, Broken()),
        openvpn=versions,
        transports=["tcp", "udp"],
        effort=Effort(seconds=1, rounds=1, clients=(1, 8)),
        say=said.append,
    )
    return found, said


def test_unsupported_version_is_not_a_failure() -> None:
    found, said = surveyed("dco", "2.6")
    assert said == [], "no lab was needed to know that"
    assert {row.missing for row in found.rows} == {"unsupported by OpenVPN 2.6"}
    assert found.troubles == []


def test_survey_continues_after_a_failure() -> None:
    found, said = surveyed("tap", "2.6", "2.7")
    assert [(row.openvpn, row.transport) for row in found.tunnels] == [
        *(("2.6", "tcp"), ("2.6", "udp"), ("2.7", "tcp"), ("2.7", "udp"))
    ]
    assert [row.clients for row in found.hubs] == [1, 8, 1, 8]
    assert {row.failure for row in found.rows} == {"the engine is gone"}
    assert len(found.troubles) == 8
    assert said[0] == "1 of 8: tap, OpenVPN 2.6, tcp: a lab of 2 nodes"
    assert said[-1] == "8 of 8: tap, OpenVPN 2.7, clients: 8: a lab of 10 nodes"
