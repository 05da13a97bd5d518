"""The picture of the rooms in docs/architecture.md is the contract that import-linter holds."""

import re
import tomllib
from importlib.util import module_from_spec, spec_from_file_location

from tests.helpers.pages import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()


def table(name: str) -> list[list[str]]:
    """Return the cells of the table below a comment."""
    rows = re.search(rf"<!-- {name} -->\n((?:\|.*\n)+)", PAGE)
    assert rows, f"docs/architecture.md has no table `{name}`"
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1].splitlines()[2:]]


def test_layers_are_those_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    expected = [sorted(re.split(r"\s*[|:]\s*", layer)) for layer in layers]
    shown = [sorted(re.findall(r"`(\w+)`", rooms)) for _, rooms in table("layers")]
    assert shown == expected
    assert [int(number) for number, _ in table("layers")] == list(range(len(layers), 0, -1))


def test_picture_shows_the_layers_of_the_import_contract() -> None:
    spec = spec_from_file_location("pictures", ROOT / "docs" / "pictures" / "make.py")
    assert spec
    assert spec.loader
    pictures = module_from_spec(spec)
    spec.loader.exec_module(pictures)
    drawn = (ROOT / "docs" / "pictures" / "rooms.svg").read_text()
    assert drawn == pictures.rooms_svg(), "draw it again: docs/pictures/make.py rooms"
    assert [room for layer in pictures.layers() for room in layer] == re.findall(r"<text [^>]*>(\w+)<", drawn)


def test_every_room_is_described() -> None:
    rooms = {path.parent.name for path in (ROOT / "lab").glob("*/__init__.py")}
    assert {room.strip("`") for room, _ in table("rooms")} == rooms


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "index.md").read_text()
    decisions = sorted(path for path in folder.glob("0*.md"))
    for number, path in enumerate(decisions, 1):
        assert path.name.startswith(f"{number:04}-")
        title = path.read_text().splitlines()[0].removeprefix(f"# {number}. ")
        assert f"| {number} | [{title}]({path.name}) |" in index
