"""containerlab's own JSON Schema of topology files."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]


@cache
def _validator() -> Any:
    text = (ROOT / "tests" / "data" / "clab.schema.json").read_text()
    return jsonschema.Draft7Validator(json.loads(text.replace(r"[\\p{N}\\p{L}]", r"\\w")))


def is_valid(text: str) -> bool:
    """Return whether a file is valid by the schema."""
    return bool(_validator().is_valid(yaml.safe_load(text)))


def mistakes(text: str) -> list[str]:
    """Return the schema's objections to a file, each with its path."""
    return [
        f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in _validator().iter_errors(yaml.safe_load(text))
    ]
