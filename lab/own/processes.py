"""Complete a topology with the OpenVPN processes of the user's: processes, tunnels, remarks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from lab.configs.openvpn.client_options import read_client_options
from lab.own import keys, overrides, scripts
from lab.own.draft import Draft
from lab.own.keys import Keys
from lab.own.management import plan_management
from lab.own.named_files import commented, directories_of, files_of, too_large
from lab.own.openvpn import (
    Device,
    assign_devices,
    check_ports,
    ipv4_of,
    ipv6_of,
    listens,
    local_port,
    pushed_addresses,
    remotes,
    transport_of,
)
from lab.own.pairing import Pairs, pair, tunnels_of
from lab.own.reading import read_drafts
from lab.topology import Topology, Tunnel
from lab.topology.mistakes import Findings, quote
from lab.topology.own import NodeFile, OwnProcess, Remark


def with_processes(topology: Topology) -> Topology:
    """Return the topology with the processes of `config.vars.openvpn`; raises `TopologyError` with all mistakes."""
    findings = Findings(topology.file)
    drafts = read_drafts(topology, findings)
    devices = assign_devices(drafts, topology, findings)
    check_ports(drafts, topology, findings)
    findings.raise_any()
    pairs = pair(topology, drafts)
    tunnels = tunnels_of(topology, pairs, devices)
    planned = keys.plan(drafts, [(each.server, each.client) for each in pairs.found])
    processes: list[OwnProcess] = []
    remarks = list(pairs.remarks)
    for draft in drafts:
        process, told = _process(draft, devices[draft.name], planned[draft.name], run_scripts=topology.run_scripts)
        processes.append(process)
        remarks += [*told, *too_large(draft)]
    remarks += _namesakes(pairs, {process.name: process.common_name for process in processes})
    return topology.model_copy(
        update={
            "processes": tuple(processes),
            "tunnels": (*topology.tunnels, *_with_pushed(tunnels, drafts, processes)),
            "remarks": (*topology.remarks, *remarks),
        }
    )


def _process(draft: Draft, device: Device, planned: Keys, *, run_scripts: bool) -> tuple[OwnProcess, list[Remark]]:
    management = plan_management(draft)
    changes = overrides.plan(draft, run_scripts=run_scripts)
    changes += scripts.plan(draft, run_scripts=run_scripts) + planned.overrides
    left_out = management.commented | set(changes.commented)
    path, copies = commented(draft, left_out, dict(changes.rewritten))
    before, after = draft.arguments.words(left_out)
    configuration = draft.configuration
    wanted = remotes(configuration)
    is_listening = listens(configuration)
    connects = not is_listening and bool(wanted)
    process = OwnProcess(
        node=draft.node,
        name=draft.name,
        config=draft.disk.config,
        given=draft.disk.given,
        path=path,
        directory=draft.directory,
        before=before,
        arguments=(*after, *device.arguments, *management.arguments, *changes.arguments),
        role=draft.role,
        listens=is_listening,
        transport=wanted[0].transport if connects else transport_of(configuration),
        port=wanted[0].port if connects else local_port(configuration),
        device=device.name,
        tap=device.tap,
        ipv4=ipv4_of(configuration),
        ipv6=ipv6_of(configuration),
        common_name=planned.common_name,
        management=management.socket,
        management_tcp=management.tcp,
        management_password=management.password,
        needs=changes.needs,
        directories=tuple(dict.fromkeys([*directories_of(draft), *changes.directories])),
        files=_merged([*files_of(draft), *changes.files, *copies]),
        issues=changes.issues,
    )
    told = [
        Remark(kind="unit", node=draft.node, place=str(spot), what=what)
        for spot, what in draft.arguments.descriptions(left_out)
    ]
    return process, [*told, *management.remarks, *changes.remarks]


def _namesakes(pairs: Pairs, names: Mapping[str, str | None]) -> Iterator[Remark]:
    """Yield a remark for each client whose server ends its session when another one of the same name connects."""
    first: dict[tuple[str, str], Draft] = {}
    for each in pairs.found:
        name = names[each.client.name]
        if name is None or each.server.role != "server" or each.server.configuration.has("duplicate-cn"):
            continue
        other = first.setdefault((each.server.name, name), each.client)
        if other is not each.client:
            what = (
                f"has the common name {quote(name)}, as {other.name} has: without duplicate-cn the server "
                f"{each.server.name} ends the session of one when the other connects, so which is up is not known"
            )
            yield Remark(kind="unknown", node=each.client.node, place=each.client.disk.given, what=what)


def _merged(files: Iterable[NodeFile]) -> tuple[NodeFile, ...]:
    """Return one file for each path: the last, readable by no one else if one of them is not."""
    found: dict[PurePosixPath, NodeFile] = {}
    for file in files:
        before = found.get(file.path)
        mode = file.mode & before.mode if before else file.mode
        found[file.path] = file.model_copy(update={"mode": mode})
    return tuple(found.values())


def _with_pushed(
    tunnels: Sequence[Tunnel], drafts: Sequence[Draft], processes: Sequence[OwnProcess]
) -> Iterable[Tunnel]:
    """Yield the tunnels with the addresses that the servers' files of `client-config-dir` give to their clients."""
    servers = {draft.name: read_client_options(draft.configuration) for draft in drafts}
    names: Mapping[str, str | None] = {process.name: process.common_name for process in processes}
    for tunnel in tunnels:
        name = names.get(tunnel.own_client or "")
        entries = servers[tunnel.own_server or ""].entries
        given = [e for e in entries if e.client == name and name is not None] or [e for e in entries if not e.client]
        ipv4, ipv6 = pushed_addresses(directive for entry in given for directive in entry.directives)
        update = {"ipv4": tunnel.client_at.ipv4 or ipv4, "ipv6": tunnel.client_at.ipv6 or ipv6}
        yield tunnel.model_copy(update={"client_at": tunnel.client_at.model_copy(update=update)})
