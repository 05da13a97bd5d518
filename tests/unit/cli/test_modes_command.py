"""`lab modes` where nothing is measured, and how it ends."""

import json

import pytest

from lab.compare.facts import Disagreement
from lab.compare.survey import ALTERNATIVES, Declared, Effort, Machine, Measured, Survey
from lab.tunnel import modes
from tests.helpers.paper import Program


def test_quick_prints_what_is_declared(lab: Program) -> None:
    result = lab("modes", "--quick")
    assert result.exit_code == 0
    for name, mode in modes().items():
        (line,) = (line for line in result.stdout.splitlines() if line.startswith(f"{name} "))
        assert mode.summary in line
        assert ("(deprecated)" in line) == bool(mode.traits.deprecated)


def test_quick_as_json(lab: Program) -> None:
    found = json.loads(lab("modes", "--quick", "--json").stdout)
    assert set(found) == {"machine", "effort", "declared", "tunnels", "hubs"}
    assert (found["effort"], found["tunnels"], found["hubs"]) == (None, [], [])
    assert {mode["mode"] for mode in found["declared"]} == {*modes(), *ALTERNATIVES}
    (dco,) = (mode for mode in found["declared"] if mode["mode"] == "dco")
    assert (dco["kernel"], dco["openvpn"], dco["deprecated"]) == ("ovpn", ["2.7"], None)
    assert dco["facts"] == {
        "needs_iroute": False,
        "families": ["ipv4", "ipv6"],
        "multicast": [],
        "mtu": {"ipv4": 1500, "ipv6": 1500},
    }


def test_quick_as_markdown_and_only_some(lab: Program) -> None:
    result = lab("modes", "--quick", "--markdown", "--only", "tap", "--only", "iroute")
    rows = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| mode", "| ---", "| iroute", "| tap"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--only", "tipi"), "tap"),
        (("--openvpn", "2.5"), "2.6"),
        (("--transport", "sctp"), "udp"),
        (("--clients", "0"), "200"),
        (("--clients", "1,x"), "200"),
        (("--seconds", "0"), "1"),
    ],
)
def test_bad_input_is_one_line_with_what_would_do(lab: Program, arguments: tuple[str, str], word: str) -> None:
    result = lab("modes", "--quick", *arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert word in result.stderr


def test_what_is_not_as_declared_is_a_failed_check(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Measured("tap", "2.7", "udp", failure="it did not start", disagreements=(Disagreement("mtu", "1500", "9"),))
    said = tuple(map(Declared.of, modes().values()))
    found = Survey(Machine.here(), Effort(), said, (row,))
    monkeypatch.setattr("lab.compare.survey.survey", lambda *_, **__: found)
    result = lab("modes")
    assert result.exit_code == 1
    assert "lab: tap, OpenVPN 2.7, udp: mtu: 9 measured, 1500 declared" in result.stderr
    assert "lab: tap, OpenVPN 2.7, udp: it did not start" in result.stderr
