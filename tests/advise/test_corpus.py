"""A sample of the corpus for `lab advise`: each verdict on a dozen generated configurations against packets.

`make corpus` runs all of them.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.advise import Verdict
from tests.helpers.corpus.configurations import configuration
from tests.helpers.corpus.counts import exit_code, of_source
from tests.helpers.corpus.run import Outcome, Source, describe, run

pytestmark = pytest.mark.docker

SEED = 1
NUMBERS = (37, 45, 48, 51, 55, 60, 68, 71, 77, 282, 291)
"""Configurations with short trials, of OpenVPN 2.6 and 2.7."""
BOTH = frozenset(
    {
        "address-change",
        "client-to-client",
        "fixed-iroutes",
        "hold-time",
        "iroute-without-route",
        "no-exit-notify",
        "no-iroute",
        "path-mtu",
        "pushed-iroute",
        "pushed-keepalive",
        "quick-reconnect",
        "recursive-routing",
        "restart-closes-device",
        "route-without-iroute",
    }
)
"""Rules of which packets show both verdicts in the sample."""


def test_verdicts_on_a_sample_are_what_packets_do(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(NUMBERS)) as pool:
        ran = list(pool.map(lambda number: run(configuration(SEED, number), tmp_path), NUMBERS))
    assert [f"{one.configuration.number}: {one.failed or one.late}" for one in ran if one.failed or one.late] == []
    compared = [item for one in ran for item in one.compared]
    wrong = [item for item in compared if item.outcome in (Outcome.WRONG_EXPOSED, Outcome.WRONG_NOT_EXPOSED)]
    assert not wrong, "\n".join(map(describe, wrong))
    assert exit_code(ran) == 0
    shown = {(c.rule, c.verdict) for c in of_source(ran, Source.TOPOLOGY) if c.outcome is Outcome.AGREES}
    assert {(rule, verdict) for rule in BOTH for verdict in (Verdict.EXPOSED, Verdict.NOT_EXPOSED)} <= shown
