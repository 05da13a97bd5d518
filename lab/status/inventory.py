"""Inventories of a running lab, as containerlab generates them: Ansible's in YAML, nornir's SimpleInventory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.runtime.lab import Lab
from lab.status.topology_data import management_address
from lab.topology.model import Credentials, Node

_HEAD = """\
all:
  vars:
    # The inventory is for programs on the lab's own host, which reach its nodes without a proxy.
    ansible_httpapi_use_proxy: false
  children:
"""
_GROUP = "ansible-group"
_NO_HOST = "ansible-no-host-var"
_NORNIR_GROUPS = "nornir-group"
"""containerlab's labels: a node's group, a node without `ansible_host`, the start of labels with nornir's groups."""


@dataclass(frozen=True)
class Host:
    """A node in an inventory."""

    node: Node
    container: str
    address: str
    """Its IPv4 address in the management network; empty if it is not in it."""

    @property
    def login(self) -> Credentials:
        """Its credentials, empty if it has none."""
        return self.node.credentials or Credentials()


def hosts(lab: Lab) -> list[Host]:
    """Return the nodes of a lab, sorted by name."""
    instances = lab.nodes
    return [
        Host(
            node,
            name if node.borrowed else lab.topology.container_name(name),
            management_address(instances.get(name), 4),
        )
        for name, node in sorted(lab.topology.nodes.items())
    ]


def ansible(found: list[Host]) -> str:
    """Return Ansible's inventory: a group for each kind, and for each value of the label `ansible-group`."""
    kinds: dict[str, list[Host]] = {}
    groups: dict[str, list[Host]] = {}
    for host in found:
        kinds.setdefault(host.node.kind, []).append(host)
        if group := host.node.labels.get(_GROUP):
            groups.setdefault(group, []).append(host)
    text = _HEAD
    for kind, members in sorted(kinds.items()):
        shared = _shared(members)
        text += f"    {kind}:\n"
        if login := _login(shared, "ansible_user", "ansible_password"):
            text += "      vars:\n        # ansible_connection: set ansible_connection variable if required\n"
            text += "".join(f"        {key}: {value}\n" for key, value in login.items())
        text += _ansible_hosts(members, shared)
    for group, members in sorted(groups.items()):
        text += f"    {group}:\n{_ansible_hosts(members, _shared(kinds[members[0].node.kind]))}"
    return text


def nornir(found: list[Host]) -> str:
    """Return the hosts of nornir's SimpleInventory."""
    text = "---\n"
    for host in sorted(found, key=lambda host: (host.node.kind, host.node.name)):
        login = host.login
        groups = sorted(value for key, value in host.node.labels.items() if key.startswith(_NORNIR_GROUPS))
        lines = {
            "username": login.username or "",
            "password": login.password or "",
            "platform": host.node.kind,
            "hostname": host.address,
        }
        text += f"{host.node.name}:\n" + "".join(f"    {key}: {_quoted(value)}\n" for key, value in lines.items())
        text += "".join(["    groups:\n", *(f"      - {_quoted(group)}\n" for group in groups)]) if groups else ""
    return text


FORMATS: Mapping[str, Callable[[list[Host]], str]] = {"ansible": ansible, "nornir": nornir}
"""The inventories, by name."""


def _ansible_hosts(members: list[Host], shared: Credentials | None) -> str:
    text = "      hosts:\n"
    for host in members:
        text += f"        {host.container}:\n"
        if host.node.labels.get(_NO_HOST) != "true":
            text += f"          ansible_host: {host.address}\n"
        own = {} if shared is not None else _login(host.login, "ansible_user", "ansible_password")
        text += "".join(f"          {key}: {value}\n" for key, value in own.items())
    return text


def _shared(members: list[Host]) -> Credentials | None:
    """Return the credentials of all members, or None if they differ."""
    logins = [host.login for host in members]
    return logins[0] if all(login == logins[0] for login in logins) else None


def _login(login: Credentials | None, user: str, password: str) -> dict[str, str]:
    found = {user: login.username, password: login.password} if login else {}
    return {key: _quoted(value) for key, value in found.items() if value}


def _quoted(value: str) -> str:
    """Return a text as YAML: as it is if it reads back as text, else between quotes."""
    import yaml

    written = yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("\n...\n").strip()
    return "" if value == "" else written
