"""The tables of the documentation: topologies, modes."""

from pathlib import Path

from lab.compare.survey import Declared
from lab.tunnel import modes

ROOT = Path(__file__).parents[3]


def test_every_topology_is_listed() -> None:
    page = (ROOT / "docs" / "topologies.md").read_text()
    for file in (ROOT / "topologies").glob("*.clab.yml"):
        assert f"`{file.name.removesuffix('.clab.yml')}`" in page, file.name


def test_every_mode_is_compared() -> None:
    rows = [line.split(" | ")[0].strip("| ") for line in (ROOT / "docs" / "modes.md").read_text().splitlines()]
    for mode in (Declared.of(mode) for mode in modes().values()):
        name = f"{mode.mode} (deprecated)" if mode.deprecated else mode.mode
        assert name in rows, f"{name} is not in docs/modes.md: take it from `lab modes --markdown`"
