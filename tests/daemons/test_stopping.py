"""A routing daemon that does not end by itself is killed, and starts again."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from tests.helpers.pairs import Pair

pytestmark = [pytest.mark.docker, pytest.mark.topology("pair.clab.yml")]


@pytest.mark.parametrize("pair", [Pair("bird", "daemon: bird, asn: 65001", "asn: 65002")], indirect=True, ids=str)
def test_a_paused_daemon_is_stopped(pair: Pair, lab: Lab) -> None:
    router = lab.router("hq")
    (process,) = router.daemon.processes(router.running)
    (pid,) = router.running.host_pids([process])
    router.running.signal(process, "STOP")
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(router.daemon.stop, router.running, "TERM")
        try:
            wait_for(Expectation("a paused BIRD to be killed", "hq", look=stopping.done, met=bool), within=30)
        finally:
            # A stop that waits for the process without an end would keep this thread.
            with suppress(EnvironmentBroken, ValueError):
                router.running.signal(process, "CONT")
        stopping.result()
    assert not Path("/proc", str(pid)).exists()
    router.daemon.start(router.running, router.plan)
    lab.wait_ready()
