"""Turn trees into typed values by the annotations of the models, and note each value that does not fit.

pydantic could do the same, but without the place of a value, and with its own wording of mistakes.
"""

import re
import types
from collections.abc import Collection, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_network,
)
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from lab.topology.mistakes import Findings, did_you_mean, nearest, one_of, quote
from lab.topology.source import Items, Scalar, Table, Tree, one_line, plain

M = TypeVar("M", bound=BaseModel)

_IP_WORDS: dict[Any, str] = {
    IPv4Address: "an IPv4 address",
    IPv6Address: "an IPv6 address",
    IPv4Interface: "an IPv4 address with its prefix length",
    IPv6Interface: "an IPv6 address with its prefix length",
    IPv4Network: "an IPv4 prefix",
    IPv6Network: "an IPv6 prefix",
}
_FAMILIES = {
    frozenset({IPv4Address, IPv6Address}): "an IPv4 or IPv6 address",
    frozenset({IPv4Interface, IPv6Interface}): "an IPv4 or IPv6 address with its prefix length",
    frozenset({IPv4Network, IPv6Network}): "an IPv4 or IPv6 prefix",
}


_LENGTH = re.compile(r"0|[1-9][0-9]*")
"""A prefix length, as containerlab's parser accepts it."""


class InvalidValue(Exception):
    """A value does not fit; the reason is among the findings."""


def convert(tree: Tree, annotation: Any, findings: Findings, field: FieldInfo | None = None) -> Any:
    """Return the tree as a value of an annotated type; raises `InvalidValue` after noting why it does not fit.

    `field` has the bounds of a number.
    """
    if annotation is Any:
        return plain(tree)
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _alternative(tree, get_args(annotation), findings, field)
    if origin is tuple:
        return _list(tree, get_args(annotation)[0], findings)
    if origin is not None and issubclass_of(origin, Mapping):
        return _mapping(tree, get_args(annotation)[1], findings)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return build(tree, annotation, findings)
    value = _single(tree, annotation)
    if value is None:
        raise note_mismatch(tree, annotation, findings, field)
    if field is not None and not _within(value, field):
        raise note_mismatch(tree, annotation, findings, field)
    return value


def build(tree: Tree, model: type[M], findings: Findings) -> M:
    """Return the tree as a model; raises `InvalidValue` after noting all mistakes in it."""
    if not isinstance(tree, Table):
        raise note_mismatch(tree, model, findings)
    fields = {info.alias or name: (name, info) for name, info in model.model_fields.items()}
    invalid = not check_keys(tree, fields, findings)
    values: dict[str, Any] = {}
    for key, (name, info) in fields.items():
        value = tree.entries.get(key)
        if value is None or is_null(value):
            if info.is_required():
                findings.add(tree, f"the key {key!r} is missing")
                invalid = True
            continue
        try:
            values[name] = convert(value, info.annotation, findings, info)
        except InvalidValue:
            invalid = True
    if invalid:
        raise InvalidValue
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        place = tree.entries.get(str(first["loc"][0]), tree) if first["loc"] else tree
        findings.add(place, one_line(str(first["msg"]).removeprefix("Value error, ")))
        raise InvalidValue from None


def salvage(tree: Tree, model: type[M], findings: Findings) -> M | None:
    """Return a model of the valid keys, or None if they are not enough; notes nothing."""
    if not isinstance(tree, Table):
        return None
    silent = Findings(findings.file)
    known: dict[str, Tree] = {}
    for name, info in model.model_fields.items():
        key = info.alias or name
        try:
            if not is_absent(tree, key):
                convert(tree.entries[key], info.annotation, silent, info)
                known[key] = tree.entries[key]
        except InvalidValue:
            continue
    try:
        return build(Table(tree.place, tree.path, known, tree.keys), model, silent)
    except InvalidValue:
        return None


def check_keys(table: Table, known: Collection[str], findings: Findings) -> bool:
    """Note every unknown key; return True if there is none."""
    unknown = [key for key in table.entries if key not in known]
    for key in unknown:
        hint = did_you_mean(key, known) or (f"the keys here are {one_of(known)}" if known else None)
        findings.add(table.keys[key], f"unknown key {quote(key)}", hint)
    return not unknown


def is_null(tree: Tree) -> bool:
    """Return True for a key without a value."""
    return isinstance(tree, Scalar) and tree.value is None


def is_absent(tree: Table, key: str) -> bool:
    """Return True if a key is missing or has no value."""
    value = tree.entries.get(key)
    return value is None or is_null(value)


def note_mismatch(tree: Tree, annotation: Any, findings: Findings, field: FieldInfo | None = None) -> InvalidValue:
    """Note that the tree does not fit the annotation, and return the exception to raise."""
    match tree:
        case Scalar(value=None):
            given = "missing value, expected"
        case Scalar():
            given = f"{quote(tree.text)} is not"
        case Items():
            given = "a list is not"
        case Table():
            given = "a mapping is not"
    findings.add(tree, f"{given} {describe(annotation, field)}", _hint(tree, annotation))
    return InvalidValue()


def describe(annotation: Any, field: FieldInfo | None = None) -> str:
    """Describe an annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _describe_alternative([a for a in arguments if a is not type(None)], field)
    if origin is Literal:
        return one_of(arguments) if len(arguments) == 1 else f"one of {one_of(arguments)}"
    if origin is tuple:
        return "a list"
    if annotation in _IP_WORDS:
        return _IP_WORDS[annotation]
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _describe_bounds(field)
    return "a text" if annotation is str else "a mapping"


def issubclass_of(origin: Any, base: type) -> bool:
    """Return True if an annotation's origin is a subclass of `base`."""
    return isinstance(origin, type) and issubclass(origin, base)


def _describe_alternative(members: list[Any], field: FieldInfo | None) -> str:
    for family, words in _FAMILIES.items():
        if family <= set(members):
            rest = [describe(member, field) for member in members if member not in family]
            return " or ".join([words, *rest])
    return " or ".join(describe(member, field) for member in members)


def _bounds(field: FieldInfo | None) -> tuple[float | None, float | None]:
    low = high = None
    for item in field.metadata if field else ():
        low = getattr(item, "ge", low)
        high = getattr(item, "le", high)
    return low, high


def _describe_bounds(field: FieldInfo | None) -> str:
    low, high = _bounds(field)
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" from {low} on" if low is not None else ""


def _within(value: Any, field: FieldInfo) -> bool:
    low, high = _bounds(field)
    return (low is None or value >= low) and (high is None or value <= high)


def _alternative(tree: Tree, members: tuple[Any, ...], findings: Findings, field: FieldInfo | None) -> Any:
    if type(None) in members and is_null(tree):
        return None
    members = tuple(member for member in members if member is not type(None))
    if len(members) == 1:
        return convert(tree, members[0], findings, field)
    for member in members:
        try:
            return convert(tree, member, Findings(findings.file), field)
        except InvalidValue:
            continue
    raise note_mismatch(tree, _union(members), findings, field)


def _union(members: tuple[Any, ...]) -> Any:
    return Union[members]  # noqa: UP007 - the members are known at run time only


def _list(tree: Tree, annotation: Any, findings: Findings) -> tuple[Any, ...]:
    if is_null(tree):
        return ()
    if not isinstance(tree, Items):
        raise note_mismatch(tree, tuple[annotation, ...], findings)
    values, invalid = [], False
    for item in tree.items:
        try:
            values.append(convert(item, annotation, findings))
        except InvalidValue:
            invalid = True
    if invalid:
        raise InvalidValue
    return tuple(values)


def _mapping(tree: Tree, annotation: Any, findings: Findings) -> dict[str, Any]:
    if is_null(tree):
        return {}
    if not isinstance(tree, Table):
        raise note_mismatch(tree, Mapping[str, Any], findings)
    values, invalid = {}, False
    for key, value in tree.entries.items():
        try:
            # No value is an empty text here: `env: {DEBUG: }` sets DEBUG to "".
            values[key] = "" if annotation is str and is_null(value) else convert(value, annotation, findings)
        except InvalidValue:
            invalid = True
    if invalid:
        raise InvalidValue
    return values


def _single(tree: Tree, annotation: Any) -> Any:
    """Return a single value as the annotated type, or None if it does not fit."""
    if not isinstance(tree, Scalar) or tree.value is None:
        return None
    if annotation is str:
        return tree.text
    if annotation is bool:
        return tree.value if isinstance(tree.value, bool) else None
    if annotation is int:
        return tree.value if isinstance(tree.value, int) and not isinstance(tree.value, bool) else None
    if annotation is float:
        number = isinstance(tree.value, int | float) and not isinstance(tree.value, bool)
        return float(tree.value) if number else None
    if get_origin(annotation) is Literal:
        return tree.text if tree.text in get_args(annotation) else None
    return _ip(tree.text, annotation)


def _ip(text: str, annotation: Any) -> Any:
    with_length = annotation not in (IPv4Address, IPv6Address)
    _, slash, length = text.partition("/")
    # Python accepts netmasks, scopes, leading zeros and a missing length, containerlab's parser does not.
    if bool(slash) != with_length or (slash and not _LENGTH.fullmatch(length)) or "%" in text:
        return None
    try:
        return annotation(text)
    except ValueError:
        return None


def _hint(tree: Tree, annotation: Any) -> str | None:
    if not isinstance(tree, Scalar):
        return None
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        match = nearest(tree.text, arguments)
        return f"did you mean {match!r}?" if match else None
    if {annotation, *arguments} & {IPv4Network, IPv6Network} and "/" in tree.text:
        try:
            meant = ip_network(tree.text, strict=False)
        except ValueError:
            return None
        if isinstance(meant, tuple({annotation, *arguments} & {IPv4Network, IPv6Network})):
            return f"it has bits set beyond its length: did you mean '{meant}'?"
    return None
