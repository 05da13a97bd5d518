"""`lab modes` without measurements, and its exit code."""

import json

import pytest

from lab.compare.facts import Disagreement
from lab.compare.survey import ALTERNATIVES, Declared, Effort, Host, Measured, Survey
from lab.tunnel import modes
from tests.helpers.paper import Program


def test_quick_prints_declared_properties(lab: Program) -> None:
    result = lab("modes", "--quick")
    assert result.exit_code == 0
    for name, mode in modes().items():
        (line,) = (line for line in result.stdout.splitlines() if line.startswith(f"{name} "))
        assert mode.summary in line
        assert ("(deprecated)" in line) == bool(mode.traits.deprecated)


def test_quick_prints_json(lab: Program) -> None:
    found = json.loads(lab("modes", "--quick", "--json").stdout)
    assert set(found) == {"host", "effort", "declared", "tunnels", "hubs"}
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


def test_quick_prints_markdown_of_selected_modes(lab: Program) -> None:
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
def test_invalid_option_is_one_line_with_the_valid_values(lab: Program, arguments: tuple[str, str], word: str) -> None:
    result = lab("modes", "--quick", *arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert word in result.stderr


def test_disagreement_and_failure_give_exit_code_1(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Measured("tap", "2.7", "udp", failure="it did not start", disagreements=(Disagreement("mtu", "1500", "9"),))
    said = tuple(map(Declared.of, modes().values()))
    found = Survey(Host.here(), Effort(), said, (row,))
    monkeypatch.setattr("lab.compare.survey.survey", lambda *_, **__: found)
    result = lab("modes")
    assert result.exit_code == 1
    assert "lab: tap, OpenVPN 2.7, udp: mtu: 9 measured, 1500 declared" in result.stderr
    assert "lab: tap, OpenVPN 2.7, udp: it did not start" in result.stderr
