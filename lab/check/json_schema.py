"""The JSON Schema of checks files, for editors."""

from collections.abc import Mapping

from lab.catalogue.json_schema import (
    DIALECT,
    VARIABLE_DEFINITION,
    Schema,
    definitions_of,
    optional,
    reference,
    words,
)
from lab.check.kinds import ACTIONS, EXPECTATIONS
from lab.check.model import Keyed, Measure
from lab.check.reader import StepKeys, Top
from lab.fault import KINDS as FAULTS
from lab.topology.intent import Frozen

_FAULT = "fault-"


def checks_schema() -> Schema:
    """Return the schema (draft-07) of a checks file."""
    kinds: dict[str, type[Frozen]] = {"Measure": Measure, "file": Top, "step": StepKeys}
    kinds |= {**EXPECTATIONS, **{name: kind for name, kind in ACTIONS.items() if name != "fault"}}
    kinds |= {f"{_FAULT}{name}": kind for name, kind in FAULTS.items()}
    made = definitions_of(kinds, by_reader=True)
    faults = [_fault(name, made.pop(f"{_FAULT}{name}")) for name in FAULTS]
    expectations = [_kind(kind, made.pop(name)) for name, kind in EXPECTATIONS.items()]
    actions = [_kind(kind, made.pop(name)) for name, kind in ACTIONS.items() if name != "fault"]
    step, file = made.pop("step"), made.pop("file")
    _put(step, do=_one_or_list(reference("action")), expect=_list(reference("expectation")))
    _put(file, expect=_list(reference("expectation")), steps=_list(reference("step")))
    return {
        "$schema": DIALECT,
        "title": "Checks of a lab",
        **file,
        "definitions": {
            **made,
            "variable": VARIABLE_DEFINITION,
            "step": step,
            "expectation": {"type": "object", "anyOf": expectations},
            "action": {"type": "object", "anyOf": [*actions, *faults]},
        },
    }


def _kind(kind: type[Keyed], schema: Schema) -> Schema:
    """Return the schema of a kind, which is chosen by its key."""
    return {**schema, "description": f"{kind.summary[0].upper()}{kind.summary[1:]}.", "type": "object"}


def _fault(name: str, schema: Schema) -> Schema:
    """Return the schema of a fault with its kind as a key."""
    kind = {"fault": words([name]) | {"description": FAULTS[name].summary}}
    return {
        **schema,
        "properties": {**kind, **schema.get("properties", {})},
        "required": ["fault", *schema.get("required", ())],
    }


def _put(schema: Schema, **properties: Mapping[str, object]) -> None:
    """Replace the properties that the reader reads itself, and keep their descriptions."""
    for name, replaced in properties.items():
        described = schema["properties"][name].get("description")
        schema["properties"][name] = optional({**replaced, "description": described})


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _one_or_list(item: Schema) -> Schema:
    return {"anyOf": [item, _list(item)]}
