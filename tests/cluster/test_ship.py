"""`--ship package` on hosts of topologies/cluster.clab.yml: workers measure with the caller's package."""

from lab.measure.record import RunDirectory
from tests.helpers.cluster import ADDRESS, HOME, ON_HOSTS, SCHEDULER, SMALL, WORKERS, Hosts

pytestmark = ON_HOSTS

OTHER = "0.1.0+other"
"""The version of the caller's package, which no worker has installed."""
LACKS = "lacks this package, which is sent"


def measure(hosts: Hosts, out: str, *options: str) -> str:
    """Measure with the caller's other package; return what it says."""
    (hosts.home(SCHEDULER) / "small.plan.yml").write_text(SMALL)
    argv = ["env", f"PYTHONPATH={HOME}/other", "lab", "measure", "small.plan.yml", "--out", out, *options]
    done = hosts.node(SCHEDULER).exec(*argv, "--cluster", ADDRESS, "--certs", "certs").raise_on_error()
    return done.stdout + done.stderr


def versions(hosts: Hosts, out: str) -> set[str]:
    """Return the versions of the lab with which machines measured."""
    machines = RunDirectory(hosts.home(SCHEDULER) / out).run().machines
    assert machines
    return {environment.lab for environment in machines.values()}


def test_worker_whose_package_differs_gets_the_callers_once(hosts: Hosts) -> None:
    hosts.run(SCHEDULER, "mkdir", f"{HOME}/other")
    hosts.run(SCHEDULER, "cp", "-rL", "/opt/lab/source/lab", f"{HOME}/other/lab")
    (hosts.home(SCHEDULER) / "other/lab/core/version.py").write_text(
        f'"""Another version."""\n\n__version__ = "{OTHER}"\n'
    )
    hosts.start_scheduler()
    hosts.start_worker(WORKERS[0])
    assert LACKS not in measure(hosts, "checked")
    assert OTHER not in versions(hosts, "checked")
    assert measure(hosts, "sent", "--ship", "package").count(LACKS) == 1
    assert versions(hosts, "sent") == {OTHER}
    assert LACKS not in measure(hosts, "again", "--ship", "package")
    assert versions(hosts, "again") == {OTHER}
    hosts.run(SCHEDULER, "rm", "-r", f"{HOME}/other")
