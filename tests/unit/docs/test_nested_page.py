"""docs/nested.md says what the tests in the lab's machine measure."""

from pathlib import Path

from lab.topology.intent import CARRIAGES
from tests.helpers.nested import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "nested.md"
WORDS = {"told": "the sender gets ICMP", "cut": "its outer packet is fragmented in two"}


def test_the_table_is_what_is_measured() -> None:
    expected = []
    for kind in KINDS:
        carriage = CARRIAGES[kind.kind]
        carried = carriage.over_ipv4 if kind.outer == "ipv4" else carriage.over_ipv6
        lost = "".join(f"; {family.replace('ip', 'IP')} is lost silently" for family in kind.lost)
        families = ", ".join(family.replace("ip", "IP") for family in carried)
        expected.append(f"| {kind} | {families} | {kind.mtu} | {WORDS[kind.too_large]}{lost} |")
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert rows[2:] == expected
