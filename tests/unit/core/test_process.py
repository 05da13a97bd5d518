"""Identities of processes: an ended process has none that is alive, not even as a zombie."""

import os
import subprocess
from pathlib import Path

import pytest

from lab.core.expect import Expectation, wait_for
from lab.core.process import is_alive, this_process


def identity(pid: int) -> str:
    """Return the identity of a process, from its fields in proc(5)."""
    return f"{pid}-{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"


def test_this_process_is_alive() -> None:
    assert this_process() == identity(os.getpid())
    assert is_alive(this_process())


def test_process_of_the_same_id_that_started_at_another_time_is_not_alive() -> None:
    pid, _, started = this_process().partition("-")
    assert not is_alive(f"{pid}-{int(started) + 1}")


def test_ended_process_is_not_alive_before_and_after_its_parent_waits() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    owner = identity(process.pid)
    assert is_alive(owner)
    process.kill()
    stat = Path(f"/proc/{process.pid}/stat")
    wait_for(Expectation("a zombie", "test", stat.read_text, lambda text: ") Z " in text), within=30)
    assert not is_alive(owner)
    process.communicate()
    assert not is_alive(owner)


@pytest.mark.parametrize("text", ["", "-", "1-", "999999999-1", "not-a-process", "-5-5", "1-0"])
def test_invalid_identity_is_not_alive(text: str) -> None:
    assert not is_alive(text)
