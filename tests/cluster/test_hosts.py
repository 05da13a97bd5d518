"""The hosts of topologies/cluster.clab.yml: each runs labs of its own, and ssh leads from one to the other."""

import json

from lab.engine import open_engine
from tests.helpers.cluster import ON_HOSTS, SCHEDULER, WORKERS, Hosts
from tests.helpers.labs import new_name

pytestmark = ON_HOSTS


def test_ssh_leads_to_every_host(hosts: Hosts) -> None:
    for worker in WORKERS:
        assert hosts.run(SCHEDULER, "ssh", worker, "hostname").strip() == worker
        assert hosts.run(worker, "ssh", SCHEDULER, "hostname").strip() == SCHEDULER


def test_lab_runs_inside_and_is_seen_on_its_host_only(hosts: Hosts) -> None:
    first, second, _ = WORKERS
    name = new_name()
    hosts.run(first, "lab", "up", "article", "--name", name)
    try:
        status = json.loads(hosts.run(first, "lab", "status", "--json"))
        assert status["up"] is True
        reached = hosts.run(first, "lab", "exec", "branch-lan", "--", "ping", "-c", "1", "10.1.0.10")
        assert "1 received" in reached
        assert json.loads(hosts.run(second, "lab", "list", "--json")) == []
        assert "bgpd" not in hosts.run(second, "ps", "-e")
        assert name not in {instance.lab for instance in open_engine().find()}
    finally:
        hosts.run(first, "lab", "down", name)
    assert hosts.labs(first) == []
    assert "bgpd" not in hosts.run(first, "ps", "-e")
