"""The hosts of topologies/cluster.clab.yml: a scheduler and workers on them, and commands that run there."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from lab.cluster.certificates import AUTHORITY, certificate_file, key_file, write_certificates
from lab.core.expect import Expectation, wait_for
from lab.engine.node import RunningNode
from lab.runtime.lab import Lab

ON_HOSTS = [
    pytest.mark.docker,
    pytest.mark.only_docker("shows its nodes no control groups, which the engine inside them needs"),
    pytest.mark.topology("cluster"),
]
"""The marks of tests on the hosts."""
SMALL = """
events: [announce]
detectors: [bfd 3x100 ms]
baselines: []
families: [ipv4]
warm-up: 0
trials: 3
attempts: 10
"""
"""A plan of three short trials."""
SCHEDULER = "scheduler"
WORKERS = ("worker1", "worker2", "worker3")
ADDRESS = f"tls://{SCHEDULER}:8786"
PATIENCE = 180
"""Seconds until a process of a cluster serves, on a busy host."""
_CERTS = "certs"
HOME = Path("/root")
_PACKAGES = Path(__file__).parents[2] / ".venv" / "cluster" / "packages"


def require_packages() -> None:
    """Skip a test if what the hosts mount is not prepared."""
    if not (_PACKAGES / "distributed").exists():
        pytest.skip("the packages of a cluster's hosts are missing: run `make cluster-hosts`")


@dataclass
class Hosts:
    """The hosts of a running lab, and the processes of a cluster on them."""

    lab: Lab
    certificates: Path
    """The directory of the cluster's certificates, on the test's own host."""

    def node(self, host: str) -> RunningNode:
        """Return a host as a node of the lab."""
        return self.lab.running_nodes[host]

    def home(self, host: str) -> Path:
        """Return the home directory of a host's root, as a path of the test's own host."""
        return self.node(host).root / HOME.relative_to("/")

    def run(self, host: str, *argv: str) -> str:
        """Run a command on a host, which has to succeed; return its output."""
        return self.node(host).exec(*argv).raise_on_error().stdout

    def start(self, host: str, argv: Sequence[str], log: str) -> None:
        """Start a command on a host, with its output in a file of the home directory."""
        self.node(host).spawn(["sh", "-c", f'exec "$@" >{HOME}/{log} 2>&1', "sh", *argv])

    def process(self, host: str, argv: Sequence[str], log: str) -> "subprocess.Popen[bytes]":
        """Start a command on a host as a child of the test."""
        command = ["sh", "-c", f'exec "$@" >{HOME}/{log} 2>&1', "sh", *argv]
        instance = self.node(host).instance
        return subprocess.Popen(self.lab.engine.attach_argv(instance, command, tty=False), stdin=subprocess.DEVNULL)

    def said(self, host: str, log: str) -> str:
        """Return the output of a command that was started."""
        try:
            return (self.home(host) / log).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def expect_said(self, host: str, log: str, text: str, *, times: int = 1) -> None:
        """Wait until a command that was started has printed a text."""
        wait_for(
            Expectation(
                what=f"{text!r} in {log}",
                node=host,
                look=lambda: self.said(host, log),
                met=lambda said: said.count(text) >= times,
                seen=lambda said: said[-2000:],
            ),
            within=PATIENCE,
        )

    # --- the cluster ------------------------------------------------------------------------------------------------

    def give(self, host: str, *roles: str) -> None:
        """Copy the certificates of roles to a host."""
        into = self.home(host) / _CERTS
        into.mkdir(mode=0o700, exist_ok=True)
        files = [certificate_file(self.certificates, AUTHORITY)]
        files += [of(self.certificates, role) for role in roles for of in (certificate_file, key_file)]
        for file in files:
            (into / file.name).touch(mode=0o600)
            (into / file.name).write_bytes(file.read_bytes())

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it serves."""
        self.give(SCHEDULER, "scheduler", "client")
        self.start(SCHEDULER, ["lab", "cluster", "scheduler", "--certs", _CERTS], "scheduler.log")
        self.expect_said(SCHEDULER, "scheduler.log", "the scheduler listens at")

    def start_worker(self, host: str, *, wait: bool = True) -> None:
        """Start a host's worker; with `wait`, until it serves."""
        self.give(host, "worker")
        self.start(host, ["lab", "cluster", "worker", ADDRESS, "--certs", _CERTS], "worker.log")
        if wait:
            self.expect_said(host, "worker.log", f"serves {ADDRESS}")

    def measure(self, plan: str, out: str, *options: str) -> "subprocess.Popen[bytes]":
        """Start `lab measure` with a plan on the cluster; its run directory is below the scheduler's home."""
        (self.home(SCHEDULER) / f"{out}.plan.yml").write_text(plan)
        argv = ["lab", "measure", f"{out}.plan.yml", "--out", out, *options]
        return self.process(SCHEDULER, [*argv, "--cluster", ADDRESS, "--certs", _CERTS], f"{out}.log")

    def pids(self, host: str) -> list[int]:
        """Return the process ids, on the host, of its scheduler or worker."""
        found = self.node(host).exec("pgrep", "-f", r"lab\.cli cluster (scheduler|worker)")
        return [int(line) for line in found.stdout.split()]

    def kill(self, host: str) -> None:
        """Kill a host's scheduler or worker (SIGKILL)."""
        for pid in self.pids(host):
            self.node(host).signal(pid, "KILL")

    def labs(self, host: str) -> list[str]:
        """Return the nodes of labs that a host runs, by their directories."""
        nodes = self.node(host).root / "run/openvpn-routing-lab/nodes"
        return sorted(path.name for path in nodes.glob("*")) if nodes.exists() else []

    def stop(self) -> None:
        """End the scheduler and all workers, and wait until no host runs a lab."""
        for host in (*WORKERS, SCHEDULER):
            self.kill(host)
        for host in WORKERS:
            wait_for(
                Expectation(what="no lab", node=host, look=partial(self.labs, host), met=lambda left: not left),
                within=PATIENCE,
            )


def hosts_of(lab: Lab, directory: Path) -> Hosts:
    """Return the hosts of a lab, with new certificates in `directory`."""
    write_certificates(directory)
    return Hosts(lab, directory)
