"""JSON Schema of topology files, made from the reader's models and the installed modes and daemons.

An editor uses it to complete and check a file. Only the reader checks what JSON Schema cannot express, for example that
a node exists or that no address is used twice.
"""

from collections.abc import Callable, Mapping
from typing import Final, get_origin

from pydantic import BaseModel

from lab.catalogue.json_schema import (
    DIALECT,
    VARIABLE,
    VARIABLE_DEFINITION,
    Schema,
    addresses,
    any_case,
    definitions_of,
    never,
    optional,
    reference,
    text,
    words,
)
from lab.catalogue.reader import vocabulary
from lab.core.prefixes import FAMILIES
from lab.topology import EndpointIntent, LinkIntent, Node, TunnelIntent
from lab.topology.keys import (
    BRIEF_ENDS_REFUSED,
    BRIEF_KEYS,
    DUMMY_KEYS,
    ENDPOINT_KEYS,
    INHERITED,
    KINDS,
    LINK_INERT,
    LINK_TYPES,
    LINK_UNUSED,
    LOGIN,
    MEMBERS,
    NODE_FIXED,
    NODE_INERT,
    NODE_KEYS,
    OUTSIDE_KEYS,
    PULL_POLICIES,
    RESTART_POLICIES,
    TOP_INERT,
    TOP_KEYS,
    TOPOLOGY_KEYS,
    VETH_KEYS,
)
from lab.topology.links import MAX_MTU, MIN_MTU
from lab.topology.management import MODES
from lab.topology.model import Management, Outside, Settings
from lab.topology.names import MAX_ALTNAME_LENGTH, MAX_NAME_LENGTH
from lab.tunnel import modes
from lab.tunnel.profile import PROFILES

_NAME = rf"[a-zA-Z0-9][a-zA-Z0-9._-]{{0,{MAX_NAME_LENGTH - 1}}}"
_INTERFACE = rf"(?!(?:lo|all|default|\.\.?)$)[^:%\t\r\n]{{1,{MAX_ALTNAME_LENGTH}}}"
_SIZE = r"^(?:(?:\d+\.?\d*|\.\d+)\s*(?:[kmgtpeKMGTPE][iI]?)?[bB]?)?$"
_ANY_TEXT: Final[Schema] = {"type": ["string", "number", "boolean"]}


def topology_schema() -> Schema:
    """Return the JSON Schema of a topology file, for the tunnel modes and routing daemons that are installed."""
    known = vocabulary()
    models: dict[str, type[BaseModel]] = {
        "node": Node,
        "mgmt": Management,
        "settings": Settings,
        "outside": Outside,
        "link-vars": LinkIntent,
        "endpoint-vars": EndpointIntent,
    }
    definitions = definitions_of(models, by_reader=True)
    intent, tunnel = definitions.pop("NodeIntent"), definitions["TunnelIntent"]
    _narrow(definitions["RouterIntent"], "daemon", words(known.daemons))
    _narrow(tunnel, "profile", words(PROFILES))
    _narrow(tunnel, "openvpn", words(known.openvpn))
    definitions |= _options(tunnel)
    intent["additionalProperties"] = True  # other variables are the user's
    for variables in ("link-vars", "endpoint-vars"):
        definitions[variables]["additionalProperties"] = True
    definitions["definition"] = _definition(definitions.pop("node"), intent)
    definitions["level"] = _level(definitions["definition"])
    definitions["node"] = _node()
    definitions |= {**_links(definitions.pop("outside")), "variable": VARIABLE_DEFINITION}
    return {
        "$schema": DIALECT,
        "description": "A topology: containerlab's format, with the lab's own keys in `config.vars` and `vars`.",
        **_mapping(
            {
                "name": text(f"^{_NAME}$", "not a name: letters, digits, '.', '_' and '-'")
                | {"description": "The lab's name."},
                "prefix": optional(text(f"^(?:__lab-name|{_NAME})?$", "not a prefix of container names")),
                "mgmt": optional(reference("mgmt")),
                "settings": optional(reference("settings")),
                "topology": _topology(),
                **{key: {"description": f"No effect: {why}."} for key, why in TOP_INERT.items()},
            },
            (*TOP_KEYS, *TOP_INERT),
            required=("name", "topology"),
        ),
        "definitions": definitions,
    }


SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = {"topology": topology_schema}
"""All schemas, by the kind of file."""


def _mapping(
    properties: Mapping[str, Schema],
    keys: tuple[str, ...],
    *,
    refused: Mapping[str, str] | None = None,
    required: tuple[str, ...] = (),
) -> Schema:
    """Return the schema of a mapping with these keys only; `refused` has the reasons for refused keys."""
    return {
        "type": "object",
        "properties": {
            **{key: properties[key] for key in keys},
            **{key: never(why) for key, why in (refused or {}).items() if key not in keys},
        },
        "required": list(required),
        "additionalProperties": False,
    }


def _topology() -> Schema:
    definition = optional(reference("level"))
    properties: dict[str, Schema] = {
        "defaults": definition | {"description": "The keys that every node inherits."},
        "kinds": {
            "type": ["object", "null"],
            "description": "The keys that the nodes of a kind inherit.",
            "properties": {kind: reference("level") for kind in KINDS},
            "additionalProperties": definition,
        },
        "groups": {
            "type": ["object", "null"],
            "description": "The keys that the nodes of a group inherit.",
            "additionalProperties": definition,
        },
        "nodes": {
            "type": "object",
            "description": "The nodes by name.",
            "minProperties": 1,
            "propertyNames": {
                "pattern": rf"^(?!(?:{'|'.join(BRIEF_ENDS_REFUSED)})$){_NAME}(?:[|]{_NAME})?$|\$",
                "patternErrorMessage": "not a node's name: letters, digits, '.', '_' and '-'",
            },
            "additionalProperties": reference("node"),
        },
        "links": {
            "type": ["array", "null"],
            "description": "The links between nodes.",
            "items": reference("link"),
        },
    }
    return _mapping(properties, TOPOLOGY_KEYS, required=("nodes",))


def _narrow(schema: Schema, key: str, choices: Schema) -> None:
    """Restrict the values of a key, and keep its description and default."""
    before = schema["properties"][key]
    described = {k: before[k] for k in ("description", "default") if k in before}
    schema["properties"][key] = {**described, **optional(choices)}


# --- nodes -------------------------------------------------------------------------------------------------


def _definition(node: Schema, intent: Schema) -> Schema:
    """Return the schema of a node's definition, from that of the model's node and of its `config.vars`."""
    in_file: dict[str, Schema] = {
        "kind": words(KINDS, case=False),
        "image-pull-policy": words(PULL_POLICIES, case=False),
        "restart-policy": words(RESTART_POLICIES, case=False),
        "memory": text(_SIZE, "not an amount of memory, as in 512MB"),
        "shm-size": text(_SIZE, "not an amount of memory, as in 512MB"),
        "tmpfs": {"type": "object", "additionalProperties": optional(_ANY_TEXT)},
        "env-files": {
            "type": "array",
            "items": _ANY_TEXT,
            "description": "Files of environment variables, one NAME=value a line; `env` takes precedence.",
        },
        "network-mode": {
            "anyOf": [words(MODES, case=False), text(f"^{any_case(['container'])}:.*\\S", "not 'container:NAME'")],
            "description": "The network besides the links.",
        },
        "pid-mode": text("^(?:host|container:.+)?$", "not 'host' or 'container:NAME'"),
        "cgroupns-mode": words(("private", "host")),
        "config": {
            "type": "object",
            "properties": {"vars": {**intent, "type": ["object", "null"]}},
            "additionalProperties": False,
            "description": "The lab's own keys are in `vars`.",
        },
    }
    properties = {}
    for key in NODE_KEYS:
        own = node["properties"].get(key, {})
        described = {k: own[k] for k in ("description", "default") if k in own}
        properties[key] = optional({**described, **in_file[key]} if key in in_file else own)
    image = vocabulary()
    properties["image"]["examples"] = [f"{image.node_image}:{version}" for version in image.openvpn]
    for key, why in NODE_INERT.items():
        properties[key] = optional({**_inert(key), "description": f"No effect: {why}."})
    for key in LOGIN:
        properties[key] = optional({**_ANY_TEXT, "description": f"The older spelling of `credentials.{key}`."})
    for key, fixed in NODE_FIXED.items():
        spelt = INHERITED[key] is str
        choices = words((*fixed.same, *fixed.others), case=False) if spelt else {}
        properties[key] = optional({**choices, "description": f"{fixed.why[0].upper()}{fixed.why[1:]}."})
    return _mapping(properties, tuple(properties))


def _inert(key: str) -> Schema:
    """Return the schema of a key without effect, which has a type nevertheless."""
    members = {
        "type": "object",
        "properties": {member: {} for member in MEMBERS.get(key, ())},
        "additionalProperties": False,
    }
    kind = INHERITED[key]
    if kind is str:
        return _ANY_TEXT
    if kind is bool:
        return {"anyOf": [{"type": "boolean"}, VARIABLE]}
    return members if get_origin(kind) is Mapping else {"type": "array", "items": members}


def _level(definition: Schema) -> Schema:
    """Return the schema of a level of inheritance, which may be for nodes of kinds that the file does not use."""
    free: dict[str, Schema] = {key: {} for key in (*NODE_FIXED, "kind", "network-mode", "pid-mode", "cgroupns-mode")}
    return {**definition, "properties": {**definition["properties"], **free}}


def _node() -> Schema:
    """Return the schema of a node: a definition."""
    return optional(reference("definition"))


# --- tunnels -----------------------------------------------------------------------------------------------


def _options(tunnel: Schema) -> dict[str, Schema]:
    """Add the conditions on a tunnel's mode to its schema; return the definitions of the modes' options."""
    models: dict[str, type[BaseModel]] = {}
    for name, mode in modes().items():
        options = getattr(mode, "options", None)
        if isinstance(options, type) and issubclass(options, BaseModel):
            models[f"{name}-options"] = options
    _narrow(tunnel, "mode", words(modes(), enumDescriptions=[mode.summary for mode in modes().values()]))
    tunnel["properties"]["options"] = {"description": tunnel["properties"]["options"]["description"]}
    default = TunnelIntent.model_fields["mode"].default
    tunnel["allOf"] = []
    for name, mode in modes().items():
        versions = [version for version in vocabulary().openvpn if version in mode.traits.openvpn]
        then = {} if len(versions) == len(vocabulary().openvpn) else {"openvpn": optional(words(versions))}
        if f"{name}-options" in models:
            then["options"] = optional(reference(f"{name}-options"))
        when = _has("mode", {"const": name})
        if name == default:  # also that of a tunnel without a mode
            when = {"properties": {"mode": {"not": {"type": "string", "not": {"const": name}}}}}
        tunnel["allOf"].append({"if": when, "then": {"properties": then}})
    return definitions_of(models, by_reader=False)


def _has(key: str, value: Schema) -> Schema:
    return {"properties": {key: value}, "required": [key]}


# --- links -------------------------------------------------------------------------------------------------


def _links(ends: Schema) -> dict[str, Schema]:
    """Return the definitions of a link, of its forms and of an endpoint; `ends` is the schema of an end outside."""
    brief_end = text(rf"^[^:]*:{_INTERFACE}$", "not an endpoint as in 'node:eth1'")
    common: dict[str, Schema] = {
        "type": words(("brief", *LINK_TYPES), case=False),
        "mtu": {
            "description": "Bytes; 0 means containerlab's default.",
            "anyOf": [
                {"type": "integer", "minimum": MIN_MTU, "maximum": MAX_MTU},
                {"enum": [0, "0", None]},
                VARIABLE,
            ],
        },
        "vars": optional(reference("link-vars")),
    }
    host = text(f"^{_INTERFACE}$", "not an interface's name")
    outside = {
        **{key: value for key, value in ends["properties"].items() if key != "interface"},
        "host-interface": host,
        "parent-interface": optional(host),
        "udp-port": ends["properties"]["dst-port"],
    }
    forms: dict[str, tuple[str, tuple[str, ...], dict[str, Schema]]] = {
        "brief": (
            "endpoints",
            BRIEF_KEYS,
            {"endpoints": _two(brief_end), **{family: _brief_addresses(family) for family in FAMILIES}},
        ),
        **{
            name: ("endpoints", VETH_KEYS, {"endpoints": _two(reference("endpoint"))})
            for name in ("veth", "veth-stitch")
        },
        "dummy": ("endpoint", DUMMY_KEYS, {"endpoint": reference("endpoint")}),
        **{
            name: ("endpoint", keys, {"endpoint": reference("endpoint")} | outside)
            for name, keys in OUTSIDE_KEYS.items()
        },
    }
    unused: Schema = {key: {"type": ["array", "null"], "items": _ANY_TEXT} for key in LINK_UNUSED}
    definitions: dict[str, Schema] = {
        f"link-{name}": _mapping(
            {**common, **unused, **own, **{key: {} for key in LINK_INERT}},
            tuple(dict.fromkeys(("type", *keys, *LINK_INERT, *LINK_UNUSED))),
            required=(required_key,),
        )
        for name, (required_key, keys, own) in forms.items()
    }
    chosen: Schema = reference("link-brief")
    for name in LINK_TYPES:
        type_schema = {"type": "string", "pattern": f"^{any_case([name])}$"}
        chosen = {"if": _has("type", type_schema), "then": reference(f"link-{name}"), "else": chosen}
    definitions["link"] = {"type": "object", "if": _has("type", VARIABLE), "else": chosen}
    definitions["endpoint"] = _endpoint()
    return definitions


def _endpoint() -> Schema:
    properties: dict[str, Schema] = {
        "node": {**_ANY_TEXT, "description": "The node's name."},
        "interface": text(f"^{_INTERFACE}$", "not an interface's name"),
        "mac": optional(text(r"^[0-9a-fA-F][02468aceACE](?:[:-][0-9a-fA-F]{2}){5}$", "not a MAC address")),
        **{family: optional(addresses([f"{family}interface"])) for family in FAMILIES},
        "vars": optional(reference("endpoint-vars")),
    }
    return _mapping(properties, ENDPOINT_KEYS, required=("node", "interface"))


def _two(end: Schema) -> Schema:
    return {"type": "array", "items": end, "minItems": 2, "maxItems": 2}


def _brief_addresses(family: str) -> Schema:
    no_address = {"enum": ["", None]}
    return {
        "type": ["array", "null"],
        "description": "The addresses of the two ends; an empty one for an end without.",
        "items": {"anyOf": [addresses([f"{family}interface"]), no_address]},
        "maxItems": 2,
    }
