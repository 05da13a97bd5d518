"""The JSON Schema of checks files: it accepts what the reader accepts, and refuses typical mistakes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from lab.check.json_schema import checks_schema
from lab.check.kinds import ACTIONS, EXPECTATIONS
from lab.fault import KINDS

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "topologies").glob("*.checks.yml"))
VALIDATOR = Draft7Validator(checks_schema())


def errors(data: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(data)]


def test_schema_is_valid() -> None:
    Draft7Validator.check_schema(checks_schema())


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_file_validates(file: Path) -> None:
    assert errors(yaml.safe_load(file.read_text())) == []


def test_there_are_files() -> None:
    assert {file.name for file in FILES} >= {"article.checks.yml", "frr-bird.checks.yml", "hub-and-spokes.checks.yml"}


@pytest.mark.parametrize(
    "data",
    [
        {"expects": []},
        {"expect": [{"tunel": "branch-hq"}]},
        {"expect": [{"tunnel": "branch-hq", "chiper": "X"}]},
        {"expect": [{"tunnel": "branch-hq", "data": "somewhere"}]},
        {"expect": [{"reaches": "hq-lan"}]},
        {"expect": {"tunnel": "branch-hq"}},
        {"steps": [{"do": {"undo": "all"}}]},
        {"steps": [{"step": "x", "do": {"fault": "blackhole", "layr": "inner"}}]},
        {"steps": [{"step": "x", "do": {"fault": "nothing"}}]},
        {"steps": [{"step": "x", "do": {"announce": "10.9.0.0/24"}}]},
    ],
)
def test_mistakes_are_refused(data: Any) -> None:
    assert errors(data)


def test_every_kind_and_fault_is_described() -> None:
    definitions = checks_schema()["definitions"]
    described = [kind["description"].rstrip(".").lower() for kind in definitions["expectation"]["anyOf"]]
    assert described == [kind.summary.lower() for kind in EXPECTATIONS.values()]
    actions = definitions["action"]["anyOf"]
    assert len(actions) == len(ACTIONS) - 1 + len(KINDS)
    for kind in (*definitions["expectation"]["anyOf"], *actions):
        missing = [key for key, value in kind["properties"].items() if not value.get("description")]
        assert missing == []
