"""JSON Schema of pydantic models, for values as a topology file spells them.

The dialect is draft-07, which the YAML support of all editors understands. A schema also has three keywords of
yaml-language-server, which validators ignore: `errorMessage` and `patternErrorMessage` are the messages of a mistake,
`doNotSuggest` hides a key from completion.
"""

import ast
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from types import ModuleType
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from lab.topology.source import resolve

DIALECT: Final = "http://json-schema.org/draft-07/schema#"

Schema = dict[str, Any]

_REFERENCE = "#/definitions/"

VARIABLE: Final[Schema] = {"$ref": "#/definitions/variable"}
"""A value with an environment variable, which is replaced only when the file is read."""
VARIABLE_DEFINITION: Final[Schema] = {
    "type": "string",
    "pattern": r"\$",
    "patternErrorMessage": "not an environment variable, as in ${NAME} or ${NAME:=default}",
}

NULL: Final[Schema] = {"not": {"type": ["object", "array", "string", "number", "boolean"]}}
"""No value. `type: "null"` says the same, but editors then complete the word `null`."""

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IPV6 = r"(?=[^:]*:[^:]*:)[0-9A-Fa-f:]+(?:[0-9]+(?:\.[0-9]+){3})?"
_LENGTHS = {"ipv4": r"/(?:3[0-2]|[12]?\d)", "ipv6": r"/(?:12[0-8]|1[01]\d|[1-9]?\d)"}
_ADDRESSES = {"ipv4": _IPV4, "ipv6": _IPV6}
_FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "ipv4": ("ipv4", ""),
    "ipv6": ("ipv6", ""),
    "ipv4interface": ("ipv4", "address with its prefix length"),
    "ipv6interface": ("ipv6", "address with its prefix length"),
    "ipv4network": ("ipv4", "prefix"),
    "ipv6network": ("ipv6", "prefix"),
}
"""pydantic's formats of addresses: the family, and the words for what is not a plain address."""
_TYPES = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
_DROPPED = ("title", "format", "$defs", "prefixItems")


def definitions_of(models: Mapping[str, type[BaseModel]], *, by_reader: bool) -> dict[str, Schema]:
    """Return the definitions of models by name, and of the models inside them by their own names.

    `by_reader` is True for values that the topology's reader takes: it ignores keys without a value, and accepts any
    single value as a text. Else pydantic takes them.
    """
    modelled = [(model, "validation") for model in dict.fromkeys(models.values())]
    found, made = models_json_schema(
        modelled,  # type: ignore[arg-type]
        ref_template=_REFERENCE + "{model}",
        schema_generator=_Documented,
    )
    spelling = _Spelling(by_reader)
    of_pydantic = {model: entry["$ref"].removeprefix(_REFERENCE) for (model, _), entry in found.items()}
    defined = {name: spelling.of(schema) for name, schema in made["$defs"].items()}
    outermost = {name: defined[of_pydantic[model]] for name, model in models.items()}
    return {**{name: schema for name, schema in defined.items() if name not in of_pydantic.values()}, **outermost}


def reference(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": _REFERENCE + name}


def words(choices: Iterable[str], *, case: bool = True, **more: Any) -> Schema:
    """Return the schema of one word out of several, or of a variable; `case` says whether upper case matters."""
    listed = list(choices)
    read_as = [value for word in listed if not isinstance(value := resolve(word), str)]  # 2.6 without quotes
    message = f"not one of {', '.join(map(repr, listed))}"
    alternatives: list[Schema] = [{"enum": [*listed, *read_as], "errorMessage": message, **more}]
    if not case:
        alternatives.append(
            {"type": "string", "pattern": f"^{any_case([*listed, ''])}$", "patternErrorMessage": message}
        )
    return {"anyOf": [*alternatives, VARIABLE]}


def text(pattern: str, message: str) -> Schema:
    """Return the schema of a text of a form, or with a variable in it."""
    return {
        "type": ["string", "number", "boolean"],
        "pattern": rf"{pattern}|\$",
        "patternErrorMessage": message,
    }


def addresses(formats: Sequence[str], *, exact: bool = True) -> Schema:
    """Return the schema of addresses or prefixes, of one family or of both; `formats` are pydantic's names.

    pydantic itself is not exact: it also takes netmasks, and single addresses as prefixes.
    """
    families, patterns, suffix = [], [], ""
    for name in formats:
        family, suffix = _FORMATS[name]
        families.append(family.replace("ip", "IP"))
        length = _LENGTHS[family] if suffix else ""
        patterns.append(_ADDRESSES[family] + (length if exact or not suffix else f"(?:{length}|/{_IPV4})?"))
    return {
        "type": "string",
        "pattern": rf"^(?:{'|'.join(patterns)})$|\$",
        "patternErrorMessage": f"not an {' or '.join(families)} {suffix or 'address'}",
    }


def optional(schema: Schema) -> Schema:
    """Return the same schema, for a key that may also have no value."""
    described = {key: value for key, value in schema.items() if key in ("description", "default", "examples")}
    rest = {key: value for key, value in schema.items() if key not in described}
    if not rest:
        return schema
    if "type" in rest and "enum" not in rest:
        kinds = [rest["type"]] if isinstance(rest["type"], str) else rest["type"]
        return {**described, **rest, "type": list(dict.fromkeys([*kinds, "null"]))}
    members = rest["anyOf"] if rest.keys() == {"anyOf"} else [rest]
    return {**described, "anyOf": members if NULL in members else [*members, NULL]}


def never(why: str) -> Schema:
    """Return the schema that no value fits, with the reason; editors do not complete a key that has it."""
    # `not: {}` says the same, but yaml-language-server then has a message of its own.
    return {"type": "string", "pattern": "(?!)", "errorMessage": why, "description": why, "doNotSuggest": True}


def any_case(choices: Iterable[str]) -> str:
    """Return a pattern of words in upper or lower case, with blanks around them."""
    return rf"\s*(?:{'|'.join(map(_any_case, choices))})\s*"


def _any_case(word: str) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word)


class _Spelling:
    """Converts a schema of pydantic to one of values in a file."""

    def __init__(self, by_reader: bool) -> None:
        self.by_reader = by_reader

    def of(self, schema: Any) -> Any:
        """Return the converted schema."""
        if isinstance(schema, bool) or not schema:
            return schema
        described = {key: schema[key] for key in ("description",) if key in schema}
        if _is_shown(schema.get("default")):
            described["default"] = schema["default"]
        if "anyOf" in schema:
            return {**described, **self._alternatives(schema["anyOf"])}
        if "$ref" in schema:
            return {**described, "$ref": schema["$ref"]}
        if "enum" in schema or "const" in schema:
            return {**described, **words(schema.get("enum", [schema.get("const")]))}
        rest = {key: value for key, value in schema.items() if key not in _DROPPED and key != "default"}
        match schema.get("type"):
            case "object":
                return {**rest, **described, **self._object(schema)}
            case "array":
                return {**rest, **described, **self._list(schema)}
            case "string" if schema.get("format") in _FORMATS:
                return {**described, **addresses([schema["format"]], exact=self.by_reader)}
            case "string" if "pattern" in schema:
                message = f"does not match {schema['pattern']}"
                return {**rest, "pattern": rf"(?:{schema['pattern']})|\$", "patternErrorMessage": message}
            case "string" if self.by_reader:
                return {**rest, "type": ["string", "number", "boolean"]}
            case "integer" | "number" | "boolean" as kind:
                pattern, message = rf"{self._in_quotes(kind)}\$", f"not {_TYPES[kind]}"
                return {
                    **rest,
                    "type": [kind, "string"],
                    "pattern": pattern,
                    "patternErrorMessage": f"not {_TYPES[kind]}",
                }
        return rest

    def _in_quotes(self, kind: str) -> str:
        """Return the pattern of texts that count as a number or a boolean, followed by `|`; empty if there are none.

        pydantic accepts both in quotes. `yes` without quotes is a boolean for the reader, and a text for editors, which
        use YAML 1.2.
        """
        if kind == "boolean":
            return f"^{any_case(['yes', 'no', 'on', 'off', *(() if self.by_reader else ('true', 'false'))])}$|"
        return "" if self.by_reader else r"^\s*[-+]?\d[\d_.]*\s*$|"

    def _object(self, schema: Schema) -> Schema:
        made: Schema = {}
        if "properties" in schema:
            needed = schema.get("required", ())
            made["properties"] = {
                key: self.of(value) if key in needed or not self.by_reader else optional(self.of(value))
                for key, value in schema["properties"].items()
            }
        if "additionalProperties" in schema:
            value = self.of(schema["additionalProperties"])
            made["additionalProperties"] = optional(value) if self.by_reader and isinstance(value, dict) else value
        return made

    def _list(self, schema: Schema) -> Schema:
        if "prefixItems" in schema:
            return {"items": [self.of(item) for item in schema["prefixItems"]], "additionalItems": False}
        return {"items": self.of(schema["items"])} if "items" in schema else {}

    def _alternatives(self, members: Sequence[Schema]) -> Schema:
        formats = [member["format"] for member in members if member.get("format") in _FORMATS]
        rest = [member for member in members if member.get("format") not in _FORMATS and member.get("type") != "null"]
        others = [self.of(member) for member in rest]
        flat = list(chain.from_iterable(other.get("anyOf", [other]) for other in others))
        if formats:
            flat.insert(0, addresses(formats, exact=self.by_reader))
        once = [member for i, member in enumerate(flat) if member not in flat[:i]]
        made = once[0] if len(once) == 1 else {"anyOf": once}
        return optional(made) if any(member.get("type") == "null" for member in members) else made


def _is_shown(default: object) -> bool:
    return default is not None and not isinstance(default, dict) and default != []


# --- descriptions ------------------------------------------------------------------------------------------


class _Documented(GenerateJsonSchema):
    """Describes each field by the docstring below it."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        """Return pydantic's schema of a model, with descriptions."""
        made = super().model_schema(schema)
        model = schema["cls"]
        for name, text in docstrings(model).items():
            key = model.model_fields[name].alias or name
            made.get("properties", {}).get(key, {}).setdefault("description", text)
        return made


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields, inherited ones included, each on one line."""
    found: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        module = sys.modules.get(parent.__module__)
        if module is not None:
            found.update(_docstrings_in(module).get(parent.__qualname__, {}))
    return {name: text for name, text in found.items() if name in model.model_fields}


@cache
def _docstrings_in(module: ModuleType) -> Mapping[str, Mapping[str, str]]:
    """Return the docstrings of attributes by class; empty if the source is not available."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):
        return {}
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for one, two in zip(node.body, node.body[1:], strict=False):
                match one, two:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                        value=ast.Constant(value=str() as docstring)
                    ):
                        found.setdefault(node.name, {})[name] = " ".join(docstring.split())
    return found
