"""All kinds of faults, and making a fault from its kind's name and its fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from lab.core.errors import InputError
from lab.fault.base import FaultKind
from lab.fault.blackhole import Blackhole, LinkBlackhole
from lab.fault.impaired import Impaired
from lab.fault.link import LinkDown
from lab.fault.nodes import BgpReset, BgpSoftReset, ConnectionsForgotten, DaemonKilled, NodePaused
from lab.fault.openvpn import HardRestart, Killed, SoftRestart, Terminated
from lab.topology.mistakes import did_you_mean


def _by_name(*kinds: type[FaultKind]) -> dict[str, type[FaultKind]]:
    """Index kinds by name; an argument that misses an abstract method fails the type check."""
    return {kind.kind: kind for kind in kinds}


KINDS: Mapping[str, type[FaultKind]] = _by_name(
    Killed,
    Terminated,
    SoftRestart,
    HardRestart,
    Blackhole,
    LinkBlackhole,
    LinkDown,
    Impaired,
    DaemonKilled,
    NodePaused,
    ConnectionsForgotten,
    BgpReset,
    BgpSoftReset,
)
"""All kinds by name."""


def fault_of(kind: str, where: Mapping[str, Any]) -> FaultKind:
    """Make a fault from the name of its kind and its fields; raises `InputError` if they are wrong."""
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"there are {', '.join(KINDS)}"
        raise InputError(f"unknown fault {kind!r}; {hint}")
    try:
        return KINDS[kind].model_validate(dict(where))
    except ValidationError as error:
        raise InputError(f"{kind}: {_first_mistake(KINDS[kind], error)}") from error


@dataclass(frozen=True)
class Parameter:
    """One field of a kind."""

    key: str
    required: bool
    default: str | None
    choices: tuple[str, ...]
    """All possible values; empty for a name or a number."""

    def __str__(self) -> str:
        shown = f"{self.key}={'|'.join(self.choices)}" if self.choices else self.key
        return shown if self.required else f"[{shown}]"


def parameters_of(kind: type[FaultKind]) -> tuple[Parameter, ...]:
    """Return the fields of a kind."""
    return tuple(
        Parameter(
            key=info.alias or name,
            required=info.is_required(),
            default=None if info.is_required() or info.default is None else str(info.default),
            choices=get_args(info.annotation) if get_origin(info.annotation) is Literal else (),
        )
        for name, info in kind.model_fields.items()
    )


def _first_mistake(kind: type[FaultKind], error: ValidationError) -> str:
    first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    known = ", ".join(info.alias or name for name, info in kind.model_fields.items())
    match first["type"]:
        case "missing":
            return f"{key}=… is missing; the fields are {known}"
        case "extra_forbidden":
            return f"unknown field {key!r}; {did_you_mean(key, known.split(', ')) or f'the fields are {known}'}"
        case "value_error":
            return first["msg"].removeprefix("Value error, ")
        case _:
            return f"{key}={first['input']}: {first['msg'].lower()}"
