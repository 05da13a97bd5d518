"""A plan on three workers: every trial is there, once, also if a worker fails in the middle."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lab.cluster.certificates import write_certificates
from lab.core.expect import Expectation, wait_for
from lab.measure.record import RunDirectory, Trial
from lab.measure.statistics import median_interval
from tests.helpers.cluster import ADDRESS, ON_HOSTS, SCHEDULER, WORKERS, Hosts

pytestmark = ON_HOSTS

PLAN = """
events: [announce]
detectors: [bfd 3x100 ms]
baselines: [wire]
families: [ipv4]
warm-up: 0
trials: {trials}
attempts: {attempts}
"""
"""An announcement over the tunnel and the bare wire, within seconds."""
ATTEMPTS = 10
"""How often the plan tries a trial until it is valid; on a busy host a sender may fall behind in each of them."""
FEW, MANY, THOROUGH = 6, 12, 100
"""Trials of each of the two variants; the last makes 200 in all."""
PATIENCE = 900
"""Seconds for a plan on a busy host, with a lab inside of each host."""
PAUSE = 60
"""Seconds for which a worker is paused."""
CUT = "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }"
"""A blackhole: all that arrives at a host is dropped, and the sender gets no error."""


@pytest.fixture
def cluster(hosts: Hosts) -> Hosts:
    """The hosts, with a scheduler and three workers."""
    hosts.start_scheduler()
    for worker in WORKERS:
        hosts.start_worker(worker, wait=False)
    for worker in WORKERS:
        hosts.expect_said(worker, "worker.log", f"serves {ADDRESS}")
    return hosts


def run_directory(hosts: Hosts, out: str) -> RunDirectory:
    return RunDirectory(hosts.home(SCHEDULER) / out)


def valid(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.status == "valid"]


def assert_each_once(trials: list[Trial], number: int) -> None:
    """Assert that each variant has each trial once, beside attempts that did not count; or all attempts in vain."""
    tried = Counter((trial.variant.over, trial.number) for trial in trials)
    counted = Counter((trial.variant.over, trial.number) for trial in valid(trials))
    for over in ("tunnel", "wire"):
        for n in range(1, number + 1):
            assert counted[over, n] == 1 or (counted[over, n] == 0 and tried[over, n] == ATTEMPTS), (over, n, trials)
    assert {n for _, n in tried} == set(range(1, number + 1))


@contextmanager
def measuring(hosts: Hosts, out: str, trials: int) -> Iterator[Callable[[], list[Trial]]]:
    """Measure the plan on the cluster; the yielded function waits for its end and returns the trials."""
    with hosts.measure(PLAN.format(trials=trials, attempts=ATTEMPTS), out) as process:

        def finished() -> list[Trial]:
            assert process.wait(PATIENCE) == 0, hosts.said(SCHEDULER, f"{out}.log")[-3000:]
            return run_directory(hosts, out).trials()

        try:
            yield finished
        finally:
            process.kill()


def in_the_middle(hosts: Hosts, out: str, *workers: str) -> None:
    """Wait until trials are recorded, and labs run on these workers."""

    def look() -> tuple[int, list[bool]]:
        recorded = len(run_directory(hosts, out).trials())
        return recorded, [bool(hosts.labs(worker)) for worker in workers]

    wait_for(
        Expectation(
            what=f"trials, and labs on {', '.join(workers)}",
            node=SCHEDULER,
            look=look,
            met=lambda seen: seen[0] > 0 and all(seen[1]),
            seen=lambda seen: f"{seen}; {hosts.said(SCHEDULER, f'{out}.log')[-500:]}",
        ),
        within=PATIENCE,
    )


def expect_no_labs(hosts: Hosts, *workers: str) -> None:
    for worker in workers:
        wait_for(
            Expectation(what="no lab", node=worker, look=lambda: hosts.labs(worker), met=lambda left: not left),  # noqa: B023
            within=PATIENCE,
        )


def machines(trials: list[Trial]) -> set[str]:
    return {trial.machine for trial in valid(trials)}


def test_all_workers_share_a_plan(cluster: Hosts) -> None:
    with measuring(cluster, "shared", FEW) as finished:
        trials = finished()
    assert_each_once(trials, FEW)
    assert len(machines(trials)) > 1, "on a busy host one worker may be late for so few trials"
    expect_no_labs(cluster, *WORKERS)


@pytest.mark.thorough
def test_block_of_a_killed_worker_runs_elsewhere(cluster: Hosts) -> None:
    killed, *others = WORKERS
    with measuring(cluster, "killed", FEW) as finished:
        in_the_middle(cluster, "killed", killed)
        cluster.kill(killed)
        trials = finished()
    assert_each_once(trials, FEW)
    assert machines(trials) & set(others)
    expect_no_labs(cluster, *WORKERS)


@pytest.mark.thorough
def test_block_of_a_paused_worker_is_counted_once(cluster: Hosts) -> None:
    paused, *_ = WORKERS
    instance = cluster.node(paused).instance
    with measuring(cluster, "paused", MANY) as finished:
        in_the_middle(cluster, "paused", paused)
        cluster.lab.engine.pause(instance)
        try:
            time.sleep(PAUSE)
        finally:
            cluster.lab.engine.resume(instance)
        trials = finished()
    assert_each_once(trials, MANY)
    expect_no_labs(cluster, *WORKERS)


@pytest.mark.thorough
def test_block_of_a_worker_that_is_cut_off_runs_elsewhere(cluster: Hosts) -> None:
    cut, *_ = WORKERS
    with measuring(cluster, "cut", MANY) as finished:
        in_the_middle(cluster, "cut", cut)
        cluster.run(cut, "nft", CUT)
        trials = finished()
    assert_each_once(trials, MANY)
    cluster.run(cut, "nft", "delete table inet cut")
    expect_no_labs(cluster, *WORKERS)
    cluster.expect_said(cut, "worker.log", f"serves {ADDRESS}", times=2)


@pytest.mark.thorough
def test_worker_that_joins_late_takes_its_share(hosts: Hosts) -> None:
    first, *late = WORKERS
    hosts.start_scheduler()
    hosts.start_worker(first)
    with measuring(hosts, "late", MANY) as finished:
        in_the_middle(hosts, "late", first)
        for worker in late:
            hosts.start_worker(worker)
        trials = finished()
    assert_each_once(trials, MANY)
    assert machines(trials) == set(WORKERS)


@pytest.mark.thorough
def test_two_hundred_trials_are_those_of_one_machine(hosts: Hosts) -> None:
    """The same plan on one worker, and on three: all there, once each, with medians whose intervals overlap."""
    hosts.start_scheduler()
    found: dict[str, list[Trial]] = {}
    for out, more in (("one", WORKERS[:1]), ("three", WORKERS[1:])):
        for worker in more:
            hosts.start_worker(worker)
        begun = time.monotonic()
        with measuring(hosts, out, THOROUGH) as finished:
            found[out] = finished()
        print(f"{out}: {time.monotonic() - begun:.0f} s")
        assert_each_once(found[out], THOROUGH)
    assert machines(found["one"]) == set(WORKERS[:1])
    assert machines(found["three"]) == set(WORKERS)
    for over in ("tunnel", "wire"):
        one, three = (interval(found[out], over) for out in ("one", "three"))
        print(over, one, three)
        assert one[0] <= three[1], (over, one, three)
        assert three[0] <= one[1], (over, one, three)


def interval(trials: list[Trial], over: str) -> tuple[float, float]:
    """Return the interval of the median time until the route was in the FIB."""
    times = [at for t in valid(trials) if t.variant.over == over and (at := t.at("fib")) is not None]
    found = median_interval(times)
    assert found is not None
    return found


@pytest.mark.thorough
def test_caller_with_certificates_of_another_cluster_is_refused(
    cluster: Hosts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In one line; the workers' side is in test_servers.py."""
    other = tmp_path_factory.mktemp("other") / "certs"
    write_certificates(other)
    into = cluster.home(SCHEDULER) / "others"
    into.mkdir(mode=0o700)
    for name in ("ca.pem", "client.pem", "client-key.pem"):
        (into / name).touch(mode=0o600)
        (into / name).write_text((other / name).read_text())
    refused = cluster.node(SCHEDULER).exec(
        "lab", "measure", "quick", "--out", "refused", "--cluster", ADDRESS, "--certs", "others"
    )
    assert refused.exit_code == 2
    assert "certificate" in refused.stderr.splitlines()[-1]
