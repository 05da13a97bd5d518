"""Jobs on a cluster of this host's processes: each done once, whatever becomes of the workers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cluster.connect import connect, local_workers, workers_of
from lab.cluster.dispatch import _Events, dispatch
from lab.cluster.job import Job, Message, Work
from lab.core.errors import EnvironmentBroken, InputError
from lab.core.expect import Expectation, wait_for
from lab.core.places import runtime_directory
from lab.core.process import this_process
from tests.helpers.scripted_session import WORK, Gathered, job


def run(directory: Path, jobs: list[Job], *, workers: int = 2, refuse_odd: bool = False) -> Gathered:
    caller = Gathered(refuse_odd=refuse_odd)
    with connect(f"local:{workers}", None) as client:
        dispatch(client, jobs, Work(WORK, {"directory": str(directory)}), caller, caller.said.append)
        assert not list(directory.glob("lab-*")), "each session was closed before the caller went on"
    return caller


def test_each_job_is_done_once(tmp_path: Path) -> None:
    done = run(tmp_path, [job(str(n)) for n in range(12)], workers=3)
    assert done.ended == {str(n): 1 for n in range(12)}
    for name in done.ended:
        assert done.numbers(name) == [0, 1, 2]
        assert len({machine for machine, _ in done.received[name]}) == 1
    assert len({machine for found in done.received.values() for machine, _ in found}) > 1


def test_jobs_of_one_worker_share_a_session(tmp_path: Path) -> None:
    done = run(tmp_path, [job(str(n)) for n in range(4)], workers=1)
    assert len({message["pid"] for found in done.received.values() for _, message in found}) == 1


@pytest.mark.parametrize("how", ["die", "fail"])
def test_job_of_a_lost_session_begins_again(how: str, tmp_path: Path) -> None:
    (tmp_path / how).touch()
    with_loss = [job("0"), job("1", once=how), job("2")]
    done = Gathered()
    with connect("local:2", None) as client:
        dispatch(client, with_loss, Work(WORK, {"directory": str(tmp_path)}), done, done.said.append)
    assert done.ended == {"0": 1, "1": 1, "2": 1}
    assert done.begun["1"] == 2
    assert all(done.numbers(name) == [0, 1, 2] for name in done.ended)
    assert len([line for line in done.said if "it is done again" in line]) == 1


def test_message_that_is_lost_on_the_way_comes_with_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask may drop an event; those after it must not take its place."""
    put = _Events.put

    def put_all_but_the_second(events: _Events, event: tuple[float, Message]) -> None:
        if event[1]["index"] != 1:
            put(events, event)

    monkeypatch.setattr(_Events, "put", put_all_but_the_second)
    done = run(tmp_path, [job(str(n)) for n in range(4)])
    assert [done.numbers(name) for name in done.ended] == [[0, 1, 2]] * 4


def test_session_that_hangs_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "hang").touch()
    done = Gathered()
    with connect("local:1", None) as client:
        jobs = [job("0", once="hang", patience=2.0), job("1")]
        dispatch(client, jobs, Work(WORK, {"directory": str(tmp_path)}), done, done.said.append)
    assert (done.begun["0"], done.numbers("0"), done.numbers("1")) == (2, [0, 1, 2], [0, 1, 2])
    assert [line for line in done.said if "no message for 2 s" in line]


def test_mistake_in_the_input_ends_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no such topology$"):
        run(tmp_path, [job("0", wrong=True), *(job(str(n)) for n in range(1, 4))])
    assert not list(tmp_path.glob("lab-*"))


def test_worker_that_differs_gets_no_job(tmp_path: Path) -> None:
    (tmp_path / "odd").touch()
    done = run(tmp_path, [job(str(n)) for n in range(6)], workers=3, refuse_odd=True)
    assert done.ended == {str(n): 1 for n in range(6)}
    (why,) = [line for line in done.said if line.endswith("is odd")]
    assert why.split()[0] not in {machine for found in done.received.values() for machine, _ in found}


def test_run_without_any_worker_that_can_take_part_ends(tmp_path: Path) -> None:
    (tmp_path / "odd").touch()
    with pytest.raises(EnvironmentBroken, match=r"^no worker can take part: .* is odd$"):
        run(tmp_path, [job("0")], workers=1, refuse_odd=True)


CALLER = """
import sys
from lab.cluster.connect import connect
from lab.cluster.dispatch import dispatch
from lab.cluster.job import Work
from tests.helpers.scripted_session import WORK, Gathered, job
from pathlib import Path

directory = Path(sys.argv[1])
(directory / "hang").touch()
with connect("local:2", None) as client:
    dispatch(client, [job("0", once="hang"), job("1")], Work(WORK, {"directory": str(directory)}), Gathered(), print)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_sessions_end_with_their_caller(number: signal.Signals, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, str(tmp_path)], cwd=root, stderr=subprocess.DEVNULL, process_group=0
    ) as caller:
        try:
            hangs = Expectation(
                what="a session that hangs",
                node="the caller",
                look=lambda: (tmp_path / "hang-taken").exists(),
                met=bool,
            )
            wait_for(hangs, within=60)
            os.killpg(caller.pid, number)
            gone = Expectation(
                what="no session left",
                node="the caller",
                look=lambda: list(tmp_path.glob("lab-*")),
                met=lambda left: not left,
            )
            wait_for(gone, within=60)
        finally:
            caller.kill()
    with connect("local:1", None):
        scratch = list((runtime_directory() / "clusters").iterdir())
    assert any(left.name.startswith(this_process()) for left in scratch)
    assert not any(left.name.startswith(f"{caller.pid}-") for left in scratch), "the next cluster removes what was left"


def listening() -> set[str]:
    """Return the TCP sockets on which this process listens, by inode."""
    inodes = {
        fields[9]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A"
    }
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            found.add(target)
    return found


def test_workers_of_this_host_listen_on_no_port() -> None:
    before = listening()
    with connect("local:2", None) as client:
        assert len(workers_of(client)) == 2
        assert listening() == before


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp://10.0.0.1:8786", r"^--cluster tcp://10\.0\.0\.1:8786: give a scheduler's address as tls://"),
        ("local:0", r"^--cluster local:0: give"),
        *((f"tls://{end}", r": give a scheduler's address as tls://HOST:8786") for end in ("", "a", "a:b", "a:99999")),
        ("tls://10.0.0.1:8786", r"needs --certs with the directory"),
    ],
)
def test_cluster_without_tls_is_refused(address: str, why: str) -> None:
    with pytest.raises(InputError, match=why), connect(address, None):
        pass


def test_number_of_local_workers() -> None:
    assert [local_workers(text) for text in ("local:3", "local:", "tls://a:1")] == [3, None, None]
