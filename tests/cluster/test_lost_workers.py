"""Jobs on a cluster over TLS while its workers are killed, stand still or join late: each is done once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.cluster.certificates import write_certificates
from lab.cluster.connect import connect
from lab.cluster.dispatch import dispatch
from lab.cluster.job import Job, Message, Work
from lab.core.errors import InputError
from tests.helpers.cluster_processes import LOOPBACK, line, running
from tests.helpers.scripted_session import WORK, Gathered, job


class Cluster:
    """A scheduler, and workers that are started one by one."""

    def __init__(self, stack: ExitStack, certs: Path) -> None:
        self._stack, self.certs = stack, certs
        scheduler = stack.enter_context(running("scheduler", "--certs", str(certs), "--host", LOOPBACK, "--port", "0"))
        self.address = line(scheduler, r"listens at (tls://\S+)")[1]

    def start(self, name: str) -> int:
        """Start a worker; return its process id."""
        worker = self._stack.enter_context(running("worker", self.address, "--certs", str(self.certs), "--name", name))
        line(worker, f"the worker {name} at tls://")
        self._stack.callback(os.kill, worker.pid, signal.SIGCONT)
        return worker.pid


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        write_certificates(certs := tmp_path / "certs")
        yield Cluster(stack, certs)


class Watching(Gathered):
    """A caller that does something when a job has sent its first message."""

    def __init__(self, name: str, act: Callable[[str], None]) -> None:
        super().__init__()
        self._name, self._act = name, act

    def receive(self, job: Job, machine: str, message: Message) -> None:
        super().receive(job, machine, message)
        if job.name == self._name and self.begun[job.name] == 1 and message["number"] == 0:
            self._act(machine)


def run(cluster: Cluster, caller: Gathered, directory: Path, jobs: list[Job]) -> None:
    directory.mkdir()
    (directory / "hang").touch()  # the first job waits to be lost
    with connect(cluster.address, cluster.certs) as client:
        dispatch(client, jobs, Work(WORK, {"directory": str(directory)}), caller, caller.said.append)


def expect_each_once(caller: Gathered, jobs: list[Job]) -> None:
    assert caller.ended == {job.name: 1 for job in jobs}
    for each in jobs:
        assert caller.numbers(each.name) == [0, 1, 2]
        assert len({machine for machine, _ in caller.received[each.name]}) == 1


JOBS = [job("0", once="hang", patience=300.0), *(job(str(n)) for n in range(1, 6))]


def test_job_of_a_killed_worker_is_done_by_another(cluster: Cluster, tmp_path: Path) -> None:
    pids = {name: cluster.start(name) for name in ("one", "two")}
    caller = Watching("0", lambda machine: os.kill(pids[machine], signal.SIGKILL))
    run(cluster, caller, tmp_path / "work", JOBS)
    expect_each_once(caller, JOBS)
    assert caller.begun["0"] == 2
    assert not list((tmp_path / "work").glob("lab-*")), "the killed worker's process has taken its lab down"


@pytest.mark.thorough
def test_job_of_a_worker_that_stands_still_is_done_by_another(cluster: Cluster, tmp_path: Path) -> None:
    pids = {name: cluster.start(name) for name in ("one", "two")}
    stopped = []

    def stop(machine: str) -> None:
        stopped.append(pids[machine])
        os.kill(pids[machine], signal.SIGSTOP)

    caller = Watching("0", stop)
    # The scheduler gives a worker up after 30 s without a heartbeat.
    run(cluster, caller, tmp_path / "work", JOBS)
    expect_each_once(caller, JOBS)
    assert caller.begun["0"] == 2
    assert len(stopped) == 1


def test_worker_that_joins_late_gets_jobs(cluster: Cluster, tmp_path: Path) -> None:
    """The first worker hangs in its first job, and is killed once the late one has done the others."""
    first = cluster.start("one")
    joined = threading.Thread(target=cluster.start, args=("two",))

    class Ending(Watching):
        def end(self, job: Job, machine: str) -> None:
            super().end(job, machine)
            if len(self.ended) == len(JOBS) - 1:
                os.kill(first, signal.SIGKILL)

    caller = Ending("0", lambda _: joined.start())
    run(cluster, caller, tmp_path / "work", JOBS)
    joined.join()
    expect_each_once(caller, JOBS)
    assert {machine for found in caller.received.values() for machine, _ in found} == {"two"}


@pytest.mark.parametrize("common", [[], ["ca.pem"]], ids=["caller", "scheduler"])
def test_caller_and_scheduler_refuse_another_authority(common: list[str], cluster: Cluster, tmp_path: Path) -> None:
    """The caller lacks the scheduler's authority, or has it, and the scheduler lacks the caller's.

    The reason in brackets is TLS's; it depends on whether the scheduler's alert arrives before its end.
    """
    write_certificates(others := tmp_path / "others")
    for name in common:
        (others / name).write_text((cluster.certs / name).read_text())
    told = r"^tls://\S+ and this host refuse each other's certificates \(.+\): use those of one `lab"
    with pytest.raises(InputError, match=told), connect(cluster.address, others):
        pass
