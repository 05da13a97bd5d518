"""`--ship` on hosts of topologies/cluster.clab.yml: workers measure with the caller's package and images."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.process import this_process
from lab.engine import ExecResult
from lab.measure.record import RunDirectory
from lab.runtime.lab import Lab
from lab.topology import Topology
from tests.helpers.cluster import ADDRESS, HOME, ON_HOSTS, SCHEDULER, SMALL, WORKERS, Hosts, hosts_of, require_packages
from tests.helpers.labs import new_name

pytestmark = ON_HOSTS

OTHER = "0.1.0+other"
"""The version of the caller's package, which no worker has installed."""
LACKS = "lacks this package, which is sent"


STORE = "/var/lib/openvpn-routing-lab/images"


def measured(hosts: Hosts, out: str, *options: str) -> ExecResult:
    """Measure with the caller's other package, if there is one."""
    (hosts.home(SCHEDULER) / "small.plan.yml").write_text(SMALL)
    argv = ["env", f"PYTHONPATH={HOME}/other", "lab", "measure", "small.plan.yml", "--out", out, *options]
    return hosts.node(SCHEDULER).exec(*argv, "--cluster", ADDRESS, "--certs", "certs")


def measure(hosts: Hosts, out: str, *options: str) -> str:
    """Measure successfully; return what the caller says."""
    done = measured(hosts, out, *options).raise_on_error()
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


# --- images -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hosts_of_two_stores(tmp_path: Path) -> Iterator[Hosts]:
    """Hosts of which the first worker has a store of images of its own, without any image."""
    require_packages()
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    lab = Lab.deploy(with_store(load("cluster", name=new_name()), WORKERS[0], store), owner=this_process())
    try:
        hosts = hosts_of(lab, tmp_path / "certs")
        yield hosts
        hosts.stop()
    finally:
        lab.destroy()


def with_store(topology: Topology, host: str, store: Path) -> Topology:
    """Return the topology with a host's own directory in place of the images that all share."""
    node = topology.nodes[host]
    binds = tuple(f"{store}:{STORE}" if bind.endswith(f":{STORE}:ro") else bind for bind in node.binds)
    assert binds != node.binds
    return topology.model_copy(update={"nodes": {**topology.nodes, host: node.model_copy(update={"binds": binds})}})


def test_worker_that_lacks_an_image_gets_the_callers_once(hosts_of_two_stores: Hosts, tmp_path: Path) -> None:
    hosts, lacking = hosts_of_two_stores, WORKERS[0]
    hosts.start_scheduler()
    hosts.start_worker(lacking)
    refused = measured(hosts, "checked")
    assert "cannot be built" in refused.stderr.splitlines()[-1], "without its image it measures nothing"
    said = measure(hosts, "sent", "--ship", "images")
    (line,) = [line for line in said.splitlines() if "which is sent" in line]
    assert line.startswith(f"{lacking} lacks image openvpn-routing-lab/node:")
    run = RunDirectory(hosts.home(SCHEDULER) / "sent")
    assert {trial.machine for trial in run.trials()} == {lacking}
    (digest,) = run.run().machines[lacking].images.values()
    assert [path.name for path in (tmp_path / "store").glob("[!n]*")] == [digest.replace(":", "-")]
    hosts.start_worker(WORKERS[1])
    assert "which is sent" not in measure(hosts, "again", "--ship", "all")
