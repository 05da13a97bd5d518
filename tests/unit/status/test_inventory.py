"""Inventories read as those of containerlab 0.79 for the same nodes."""

from typing import Any

import pytest
import yaml

from lab.status.inventory import Host, ansible, nornir
from lab.topology.model import Credentials, Node


def host(name: str, address: str, login: Credentials | None = None, **labels: str) -> Host:
    named = {key.replace("_", "-"): value for key, value in labels.items()}
    node = Node(name=name, kind="linux", labels=named, credentials=login)
    return Host(node, f"clab-inv-{name}", address)


ONE, TWO = Credentials(username="u1", password="p1"), Credentials(username="u2", password="p2")
HOSTS = [
    host("a", "172.31.77.9", ONE, ansible_group="spines", nornir_group="g1", x="y"),
    host("b", "172.31.77.2", TWO, ansible_no_host_var="true"),
    host("c", "", ONE),
]


def seen_by_ansible(text: str) -> dict[str, Any]:
    """Return the variables that Ansible gives each host, and its groups."""
    found: dict[str, Any] = {}
    for group, content in yaml.safe_load(text)["all"]["children"].items():
        for name, own in content["hosts"].items():
            entry = found.setdefault(name, {"groups": []})
            entry["groups"].append(group)
            entry |= {**content.get("vars", {}), **(own or {})}
    return found


CONTAINERLABS = """\
all:
  vars:
    # The generated inventory is assumed to be used from the clab host.
    ansible_httpapi_use_proxy: false
  children:
    linux:
      vars:
        # ansible_connection: set ansible_connection variable if required
        ansible_user: u1
        ansible_password: p1
      hosts:
        clab-inv-a:
          ansible_host: 172.31.77.9
          ansible_user: u1
          ansible_password: p1
        clab-inv-b:
          ansible_user: u2
          ansible_password: p2
        clab-inv-c:
          ansible_host:
          ansible_user: u1
          ansible_password: p1
    spines:
      hosts:
        clab-inv-a:
          ansible_host: 172.31.77.9
          ansible_user: u1
          ansible_password: p1
"""
NORNIRS = """\
---
a:
    username: u1
    password: p1
    platform: linux
    hostname: 172.31.77.9
    groups:
      - g1
b:
    username: u2
    password: p2
    platform: linux
    hostname: 172.31.77.2
c:
    username: u1
    password: p1
    platform: linux
    hostname:
"""


def test_ansible_sees_the_same_as_with_containerlabs() -> None:
    assert seen_by_ansible(ansible(HOSTS)) == seen_by_ansible(CONTAINERLABS)
    assert yaml.safe_load(ansible(HOSTS))["all"]["vars"] == yaml.safe_load(CONTAINERLABS)["all"]["vars"]


def test_nornir_reads_the_same_as_from_containerlabs() -> None:
    assert [line.rstrip() for line in nornir(HOSTS).splitlines()] == NORNIRS.splitlines()


def test_login_of_all_is_the_groups() -> None:
    found = yaml.safe_load(ansible([host("a", "192.0.2.1", ONE), host("b", "192.0.2.2", ONE)]))
    linux = found["all"]["children"]["linux"]
    assert linux["vars"] == {"ansible_user": "u1", "ansible_password": "p1"}
    assert linux["hosts"]["clab-inv-b"] == {"ansible_host": "192.0.2.2"}


@pytest.mark.parametrize("password", ["123", "yes", "a: b", "#x", "'", "{a}", "p\\w"])
def test_password_reads_back_as_text(password: str) -> None:
    login = Credentials(username="u", password=password)
    (kind,) = yaml.safe_load(ansible([host("a", "", login)]))["all"]["children"].values()
    assert kind["vars"]["ansible_password"] == password
    assert yaml.safe_load(nornir([host("a", "", login)]))["a"]["password"] == password
