"""The reference pages, written from the code: `pages()` returns each page's Markdown by its name."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from lab.catalogue.json_schema import docstrings

_TABLE = "| key | value | default | meaning |\n| --- | --- | --- | --- |\n"


def pages() -> dict[str, str]:
    """Return all generated pages, in their order."""
    return {
        "cli.md": cli(),
        "topology.md": topology(),
        "modes.md": modes(),
        "plan.md": plan(),
        "faults.md": faults(),
        "checks.md": checks(),
        "pytest.md": pytest_page(),
        "api.md": api(),
    }


# --- keys of models ----------------------------------------------------------------------------------------


def topology() -> str:
    """Return the keys of a topology that the lab adds."""
    from lab.topology import intent

    sections = (
        (intent.RouterIntent, "`config.vars.router` of a node"),
        (intent.TunnelIntent, "`config.vars.tunnels[]` of a node: a tunnel, declared by its client"),
        (intent.StaticRoute, "`config.vars.routes[]` of a node"),
        (intent.LinkIntent, "`vars` of a link"),
        (intent.EndpointIntent, "`vars` of a link's end"),
    )
    text = (
        "# Topology keys\n\nThe keys below extend containerlab's format; they live in `config.vars` of a node and in "
        "`vars` of a link, where containerlab ignores them. For containerlab's own keys see its "
        "[manual](https://containerlab.dev/manual/topo-def-file/). The options of each tunnel mode have a "
        "[page of their own](modes.md). `lab validate FILE` checks a file.\n"
    )
    done: set[type[BaseModel]] = set()
    waiting: list[tuple[type[BaseModel], str]] = list(sections)
    while waiting:
        found, heading = waiting.pop(0)
        if found in done:
            continue
        done.add(found)
        text += f"\n## {heading}\n\n{_summary(found)}\n\n{keys(found)}"
        inner = [(part, f"`{part.__name__}`") for part in _models(found) if part not in done]
        waiting = inner + waiting
    return text


def modes() -> str:
    """Return the options of each tunnel mode."""
    from lab.tunnel import modes as known
    from lab.tunnel.options import Options, ServerOptions, TlsOptions

    text = (
        "# Mode options\n\nThe keys of `options` of a tunnel. Options of all modes come first; each mode then lists "
        "what it has besides. How the modes compare is on [another page](../modes.md).\n"
    )
    common = (
        (Options, "All modes"),
        (TlsOptions, "Modes whose ends agree on their keys by TLS"),
        (ServerOptions, "Modes with OpenVPN's `mode server`"),
    )
    done: set[type[BaseModel]] = {options for options, _ in common}
    for options, heading in common:
        text += f"\n## {heading}\n\n{keys(options, own=True)}"
    for options, _ in common:
        for part in _models(options):
            if part not in done:
                done.add(part)
                text += f"\n### `{part.__name__}`\n\n{_summary(part)}\n\n{keys(part)}"
    for name, mode in sorted(known().items()):
        text += f"\n## Mode `{name}`\n\n{_sentence(mode.summary)}\n\n"
        options = getattr(mode, "options", None)  # a mode of another distribution need not have a model
        if options is None:
            continue
        base = next(kind for kind in options.__mro__ if kind in (Options, TlsOptions, ServerOptions))
        inherited = {Options: "all modes", TlsOptions: "TLS modes", ServerOptions: "`mode server`"}[base]
        more = [name for name in options.model_fields if name not in base.model_fields]
        text += f"Options: those of {inherited}" + (", and:\n\n" if more else ".\n")
        if more:
            text += _TABLE + "".join(_row(options, name) for name in more)
    return text


def plan() -> str:
    """Return the keys of a measurement plan."""
    from lab.measure.trials.plan import Plan

    return f"# Measurement plan\n\nThe keys of a plan of `lab measure`, a YAML file.\n\n{keys(Plan)}"


def faults() -> str:
    """Return the fault kinds and their parameters."""
    from lab.fault.kinds import KINDS

    text = (
        "# Fault kinds\n\nThe kinds of `lab fault apply KIND [KEY=VALUE]...` and of `lab.fault(KIND, ...)` in a test.\n"
    )
    for name, kind in KINDS.items():
        text += f"\n## `{name}`\n\n{_sentence(kind.summary)}\n\n"
        if kind.model_fields:
            text += keys(kind)
    return text


def checks() -> str:
    """Return the keys of a checks file, and all kinds of expectations and actions."""
    from lab.check.kinds import ACTIONS, EXPECTATIONS
    from lab.check.model import Measure
    from lab.check.reader import StepKeys, Top

    text = (
        "# Checks files\n\nThe keys of `NAME.checks.yml`, which [`lab check`](../howto/check.md) reads.\n"
        f"\n## The file\n\n{keys(Top)}\n## A step\n\n{keys(StepKeys)}\n### `measure`\n\n{keys(Measure)}"
    )
    for title, kinds in (("Expectation", EXPECTATIONS), ("Action", ACTIONS)):
        for name, kind in kinds.items():
            text += f"\n## {title} `{name}`\n\n{_sentence(kind.summary)}\n\n{keys(kind)}"
    return text


def keys(model: type[BaseModel], *, own: bool = False) -> str:
    """Return the fields of a model as a table; with `own` without inherited ones."""
    names = [
        name
        for name in model.model_fields
        if not own or not any(name in getattr(base, "model_fields", {}) for base in model.__bases__)
    ]
    return _TABLE + "".join(_row(model, name) for name in names)


def _row(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    limits = [_limit(item) for item in field.metadata]
    value = "; ".join([spelling(field.annotation), *filter(None, limits)])
    default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
    meaning = field.description or docstrings(model).get(name, "")
    cells = (f"`{field.alias or name.replace('_', '-')}`", value, default, " ".join(meaning.split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def spelling(annotation: Any) -> str:
    """Return how a value of a type is written in a file."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return "nothing"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(spelling(part) for part in arguments if part is not type(None)))
    if hasattr(annotation, "__metadata__"):
        return spelling(arguments[0])
    if origin in (tuple, list) or (inspect.isclass(origin) and issubclass(origin, Iterable) and len(arguments) == 1):
        parts = [part for part in arguments if part is not Ellipsis]
        several = len(parts) > 1
        return (
            f"list of {len(parts)}: {', '.join(map(spelling, parts))}" if several else f"list of {spelling(parts[0])}"
        )
    if inspect.isclass(origin) and len(arguments) == 2:
        return "mapping"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return f"mapping, see `{annotation.__name__}`"
    words = {str: "text", int: "number", float: "number", bool: "`true`, `false`", Any: "any"}
    if annotation in words:
        return words[annotation]
    name = getattr(annotation, "__name__", str(annotation))
    for kind in ("Network", "Interface", "Address"):
        if name.endswith(kind):
            return {"Network": "prefix", "Interface": "address with length", "Address": "address"}[kind]
    return name


def _limit(item: Any) -> str:
    signs = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "length at least"}
    for attribute, words in signs.items():
        if (value := getattr(item, attribute, None)) is not None:
            return f"{words} {value}"
    return ""


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ", ".join(f"`{n}: {v}`" for n, v in value.model_dump(mode="json", by_alias=True).items()) or ""
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the models in the fields of a model."""

    def inside(annotation: Any) -> Iterator[type[BaseModel]]:
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            yield annotation
        for part in get_args(annotation):
            yield from inside(part)

    for field in model.model_fields.values():
        yield from inside(field.annotation)


def _summary(model: type[BaseModel]) -> str:
    return " ".join(inspect.getdoc(model).splitlines()) if model.__doc__ else ""  # type: ignore[union-attr]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


# --- command line ------------------------------------------------------------------------------------------


def cli() -> str:
    """Return every command with its arguments and options."""
    import typer

    from lab.cli.app import app
    from lab.cli.commands import COMMANDS

    root = typer.main.get_command(app)
    text = f"# Command line\n\n{_help(root)}\n\n{getattr(root, 'epilog', None) or ''}\n"
    text += _parameters(root)
    panel = ""
    for path, command in commands(root):
        if panel != (panel := COMMANDS[path.split(" ")[0]].panel):
            text += f"\n## {panel}\n"
        text += f"\n### `lab {path}`\n\n{_help(command)}\n" + _parameters(command)
    return text


def commands(root: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all commands below one, each with its path of words."""
    for name in root.commands:
        command = root.commands[name]
        if command.hidden:
            continue
        full = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, full)
        else:
            yield full, command


def _help(command: Any) -> str:
    return inspect.cleandoc(command.help or "")


def _parameters(command: Any) -> str:
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            name = f"`{parameter.metavar or (parameter.name or '').upper()}`"
        else:
            names = [*parameter.opts, *parameter.secondary_opts]
            flag = getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)
            metavar = "" if flag else f" {_metavar(parameter)}"
            name = ", ".join(f"`{option}{metavar}`" for option in names)
        default = parameter.default
        shown = "" if default in (None, False, ()) or callable(default) or parameter.required else f"`{default}`"
        rows.append((name, "required" if parameter.required else shown, getattr(parameter, "help", "") or ""))
    if not rows:
        return ""
    lines = ["", "| parameter | default | meaning |", "| --- | --- | --- |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _metavar(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    annotation = parameter.type_descriptor.annotation
    annotation = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    if choices := get_args(annotation) if get_origin(annotation) is Literal else ():
        return "|".join(map(str, choices))
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return "|".join(str(choice.value) for choice in annotation)
    return {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}.get(annotation, annotation.__name__.upper())


# --- pytest ------------------------------------------------------------------------------------------------

PLUGINS = ("lab.testing.plugin", "lab.testing.claims", "lab.testing.kernel", "lab.testing.shards")


def pytest_page() -> str:
    """Return options, markers and fixtures of the plugin."""
    import argparse
    from importlib import import_module

    recorded = _Recorder()
    fixtures: list[tuple[str, str]] = []
    for name in PLUGINS:
        module = import_module(name)
        if hasattr(module, "pytest_addoption"):
            module.pytest_addoption(recorded)
        recorded.markers += markers_of(module)
        fixtures += fixtures_of(module)
    text = "# pytest plugin\n\nThe package brings its plugin along; nothing has to be imported.\n\n## Options\n\n"
    text += "| option | meaning |\n| --- | --- |\n"
    for option, attributes in recorded.options:
        if attributes.get("help") is argparse.SUPPRESS:
            continue
        choices = "\\|".join(attributes.get("choices", ()))
        value = str(attributes.get("metavar") or choices)
        spelt = option if attributes.get("action") == "store_true" else f"{option} {value}"
        meaning = " ".join(str(attributes.get("help", "")).split())
        text += f"| `{spelt}` | {_sentence(meaning)} |\n"
    text += "\n## Markers\n\n| marker | meaning |\n| --- | --- |\n"
    for marker in recorded.markers:
        name, meaning = _split_marker(marker)
        text += f"| `{name}` | {_sentence(meaning)} |\n"
    text += "\n## Fixtures\n\n| fixture | meaning |\n| --- | --- |\n"
    for name, meaning in fixtures:
        text += f"| `{name}` | {meaning} |\n"
    return text


def _split_marker(line: str) -> tuple[str, str]:
    depth = 0
    for at, sign in enumerate(line):
        depth += (sign == "(") - (sign == ")")
        if sign == ":" and depth == 0:
            return line[:at], line[at + 1 :].strip()
    return line, ""


class _Recorder:
    """Record the options that a plugin adds to pytest's parser."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.markers: list[str] = []

    def getgroup(self, *_: object, **__: object) -> "_Recorder":
        """Groups are one here."""
        return self

    def addoption(self, *names: str, **attributes: Any) -> None:
        """Keep an option."""
        self.options.append((names[-1], attributes))

    def addini(self, *_: object, **__: object) -> None:
        """Settings of the configuration file are not listed."""


def markers_of(module: Any) -> list[str]:
    """Return the markers that a plugin declares, read from its source: `addinivalue_line("markers", ...)`."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            constants = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if node.func.attr == "addinivalue_line" and len(constants) == 2 and constants[0] == "markers":
                found.append(str(constants[1]))
    return found


def fixtures_of(module: Any) -> list[tuple[str, str]]:
    """Return the fixtures that a plugin defines, with the first line of each docstring."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list):
            found.append((node.name, (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")))
    return found


# --- Python ------------------------------------------------------------------------------------------------


def api() -> str:
    """Return the page of the Python API, for mkdocstrings to fill in."""
    import lab

    names = (
        "lab.catalogue.reader.load",
        "lab.runtime.lab.Lab",
        "lab.runtime.node.LabNode",
        "lab.runtime.router.Router",
        "lab.tunnel.RunningTunnel",
        "lab.measure.instrument.measurement.Measurement",
        "lab.claims.claims.Claim",
        "lab.core.errors",
    )
    exported = ", ".join(f"`{name}`" for name in lab.__all__)
    text = (
        "# Python API\n\nThe objects that a test or a script works with; the fixture `lab` of a test is a `Lab`. "
        f"The package `lab` exports {exported}.\n"
    )
    return text + "".join(f"\n::: {name}\n" for name in names)
