"""The real-time priority of the instrument's processes."""

import errno
import gc
import os
from collections.abc import Iterator

import pytest

from lab.measure.instrument.process import RECORDER, SENDER, set_priority


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("refusal", [None, PermissionError(errno.EPERM, "no"), OSError(errno.EINVAL, "no")])
def test_refused_priority_is_reported(monkeypatch: pytest.MonkeyPatch, refusal: OSError | None) -> None:
    asked = []

    def set_scheduler(pid: int, policy: int, parameter: os.sched_param) -> None:
        asked.append((pid, policy, parameter.sched_priority))
        if refusal:
            raise refusal

    monkeypatch.setattr(os, "sched_setscheduler", set_scheduler)
    assert set_priority(SENDER) == (refusal.errno if refusal else 0)
    assert asked == [(0, os.SCHED_FIFO, SENDER)]
    assert SENDER > RECORDER
