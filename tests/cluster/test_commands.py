"""The cluster in five commands of docs/howto/grow.md, on hosts of topologies/cluster.clab.yml that have its names."""

from lab.measure.record import RunDirectory
from tests.helpers import pages
from tests.helpers.cluster import HOME, ON_HOSTS, SCHEDULER, SMALL, WORKERS, Hosts

pytestmark = ON_HOSTS

NAMES = dict(zip("abc", WORKERS, strict=True))
"""The names on the page; the caller is the fourth host."""


def commands() -> str:
    """Return the commands of the page, with a small plan: the default one takes a night."""
    (block,) = [b for b in pages.blocks() if b.page == "docs/howto/grow.md" and "lab cluster certs certs" in b.text]
    assert len(block.text.strip().splitlines()) == 5
    assert block.text.count("lab measure default ") == 1
    return block.text.replace("lab measure default ", "lab measure small.plan.yml --out run ")


def test_five_commands_measure_on_three_hosts(hosts: Hosts) -> None:
    for host in (SCHEDULER, *WORKERS):
        for name, worker in NAMES.items():
            address = hosts.run(SCHEDULER, "getent", "hosts", worker).split()[0]
            hosts.run(host, "sh", "-c", f"echo {address} {name} >>/etc/hosts")
    (hosts.home(SCHEDULER) / "small.plan.yml").write_text(SMALL)
    hosts.run(SCHEDULER, "sh", "-euc", f"cd {HOME}; {commands()}")
    directory = RunDirectory(hosts.home(SCHEDULER) / "run")
    assert {trial.number for trial in directory.trials()} == {1, 2, 3}
    assert set(directory.run().machines) <= set(WORKERS)
