"""Images that travel to workers: each once to a machine, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lab.cluster import receiver
from lab.cluster import store as program
from lab.cluster.connect import connect
from lab.cluster.delivery import Cargo
from lab.cluster.dispatch import dispatch
from lab.cluster.job import Message, Work
from lab.cluster.pieces import End, Piece, cut
from lab.cluster.ship import Ship
from lab.cluster.store import END, IMAGE, PIECE, SIZE, STORED, WANTED, Orders, serve
from lab.core.errors import EnvironmentBroken, InputError
from lab.core.expect import Expectation, wait_for
from lab.engine.crun.engine import CrunEngine
from lab.image import store
from lab.image.parcel import Parcel
from tests.helpers.image_archive import archive
from tests.helpers.other_machine import DATA
from tests.helpers.scripted_session import WORK, Gathered, job

NAME = "example.org/tool:1"
LACKS = "which is sent"
PATIENCE = 180
"""Seconds for a step of another process, on a busy host."""
Switch = Callable[[str], None]


@pytest.fixture(autouse=True)
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Switch:
    """Two machines, `here` and `there`; a function makes one of them that of this process."""
    monkeypatch.setattr(store, "_client", lambda: None)
    monkeypatch.setattr(receiver, "_PROGRAM", "tests.helpers.other_machine")
    monkeypatch.setenv(DATA, str(tmp_path / "there"))

    def switch(name: str) -> None:
        (tmp_path / name).mkdir(mode=0o700, exist_ok=True)
        monkeypatch.setattr(store, "data_directory", lambda: tmp_path / name)

    switch("there")
    switch("here")
    return switch


@pytest.fixture
def parcel(tmp_path: Path) -> Parcel:
    """An image that `here` has."""
    store.load(archive(tmp_path, [NAME], {"bin/sh": os.urandom(200_000), "etc/a": b"1"}))
    return CrunEngine().describe_image(NAME)


@pytest.fixture
def cargo(parcel: Parcel) -> Cargo:
    """That image."""
    return Cargo(images=[parcel], engine=CrunEngine())


def left(machine: Path) -> list[str]:
    """Return what a machine has in its store."""
    return sorted(path.name for path in machine.glob("images/*") if path.name != "names")


# --- the process that stores them -------------------------------------------------------------------------------

Step = tuple[Message, bytes]


def steps(parcel: Parcel) -> list[Step]:
    """Return the orders for an image, in pieces that are small enough to lose some."""
    pieces = cut(CrunEngine().read_image(parcel), 10_000)
    return [({IMAGE: asdict(parcel)}, b""), *map(order_of, pieces)]


def order_of(part: Piece | End) -> Step:
    return ({PIECE: part.number}, part.content) if isinstance(part, Piece) else ({END: part.digest}, b"")


def stored(orders: list[Step]) -> list[Message]:
    """Serve orders on this machine, and return the answers."""
    waiting, answers = iter(orders), list[Message]()

    def following() -> Step:
        for order in waiting:
            return order
        raise EOFError

    with pytest.raises(EOFError):
        serve(CrunEngine(), following, answers.append)
    return answers


def test_image_that_arrived_is_the_same(parcel: Parcel, machines: Switch) -> None:
    orders, here = steps(parcel), store.unpacked(NAME)
    machines("there")
    answers = stored(orders)
    assert answers == [*({WANTED: number} for number in range(len(orders) - 1)), {STORED: True}]
    there = store.unpacked(NAME)
    assert (there.digest, there.config) == (here.digest, here.config)
    for name in ("bin/sh", "etc/a"):
        assert (there.rootfs / name).read_bytes() == (here.rootfs / name).read_bytes()
    assert stored(orders[:1]) == [{STORED: True}], "it is not wanted again"


def test_name_moves_to_an_image_that_is_there(parcel: Parcel, machines: Switch) -> None:
    orders = steps(parcel)
    machines("there")
    stored(orders)
    assert stored([({IMAGE: asdict(replace(parcel, reference="other:2"))}, b"")]) == [{STORED: True}]
    assert store.unpacked("other:2").digest == parcel.digest


def torn(orders: list[Step]) -> list[Step]:
    return orders[:5]


def without_end(orders: list[Step]) -> list[Step]:
    return orders[:-1]


def in_another_order(orders: list[Step]) -> list[Step]:
    return [*orders[:3], orders[4], orders[3], *orders[5:]]


def damaged(orders: list[Step]) -> list[Step]:
    head, content = orders[4]
    return [*orders[:4], (head, bytes([content[0] ^ 1]) + content[1:]), *orders[5:]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (torn, rf"^image {NAME} \(sha256:\w{{12}}\) was not sent to its end$"),
        (without_end, r"was not sent to its end$"),
        (in_another_order, r"^piece 3 arrived instead of piece 2$"),
        (damaged, r"^it arrived with digest \w+ instead of \w+$"),
    ],
)
def test_image_that_is_not_whole_leaves_nothing(
    change: Callable[[list[Step]], list[Step]], why: str, parcel: Parcel, machines: Switch, tmp_path: Path
) -> None:
    orders = change(steps(parcel))
    machines("there")
    waiting = iter(orders)

    def following() -> Step:
        for order in waiting:
            return order
        raise EOFError

    with pytest.raises(EnvironmentBroken, match=why):
        serve(CrunEngine(), following, lambda _: None)
    assert left(tmp_path / "there") == []
    with pytest.raises(InputError, match="does not exist on this host"):
        store.unpacked(NAME)


def test_image_of_another_engine_is_refused_if_it_is_lacking(parcel: Parcel, machines: Switch) -> None:
    dockers = replace(parcel, engine="docker")
    order = ({IMAGE: asdict(dockers)}, b"")
    assert stored([order]) == [{STORED: True}], "here it is, whoever has brought it"
    machines("there")
    with pytest.raises(
        EnvironmentBroken,
        match=r"^its engine is crun, which cannot take image .* engine docker: use one engine",
    ):
        stored([order])


def test_orders_that_stay_away_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is gone, and its worker has not noticed."""
    monkeypatch.setattr(program, "IDLE", 0.05)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as orders, os.fdopen(write, "wb") as worker:
        worker.write(json.dumps({IMAGE: 1, SIZE: 2}).encode() + b"\nab")
        worker.flush()
        following = Orders(orders)
        assert following() == ({IMAGE: 1, SIZE: 2}, b"ab")
        with pytest.raises(EOFError):
            following()


# --- the whole way ----------------------------------------------------------------------------------------------


def run(cargo: Cargo, directory: Path, workers: int) -> list[str]:
    """Do a job on workers, which are `there`; return what is said."""
    caller = Gathered()
    with connect(f"local:{workers}", None) as client:
        jobs = [job(str(number)) for number in range(2 * workers)]
        dispatch(client, jobs, Work(WORK, {"directory": str(directory)}), caller, caller.said.append, cargo=cargo)
    assert len(caller.ended) == 2 * workers
    assert receiver._stores == {}
    return caller.said


def test_image_is_sent_once_to_a_machine(cargo: Cargo, tmp_path: Path, machines: Switch) -> None:
    said = run(cargo, tmp_path, workers=2)
    assert len([line for line in said if LACKS in line]) == 1
    assert not [line for line in run(cargo, tmp_path, workers=2) if LACKS in line]
    machines("there")
    assert store.unpacked(NAME).digest == cargo.images[0].digest


def test_worker_that_cannot_store_an_image_gets_no_job(cargo: Cargo, tmp_path: Path) -> None:
    cargo = replace(cargo, images=[replace(cargo.images[0], engine="docker")])
    with pytest.raises(EnvironmentBroken, match=r"^no worker can take part: \S+: its engine is crun, which"):
        run(cargo, tmp_path, workers=1)


def test_image_that_is_gone_here_is_named(cargo: Cargo, tmp_path: Path) -> None:
    cargo = replace(cargo, images=[replace(cargo.images[0], digest="sha256:gone")])
    with pytest.raises(EnvironmentBroken, match=r"image \S+ \(sha256:gone\) was removed from this host while"):
        run(cargo, tmp_path, workers=1)
    assert left(tmp_path / "there") == []


def test_checking_looks_at_no_image() -> None:
    def images() -> Iterator[str]:
        pytest.fail("nothing is sent")
        yield ""

    assert Ship.CHECK.cargo(images(), print) == Cargo()
    assert Ship.PACKAGE.cargo(images(), print).package is not None


CALLER = """
import sys, threading
from functools import partial
from pathlib import Path
from lab.cluster import delivery, receiver
from lab.cluster.connect import connect
from lab.cluster.delivery import Cargo
from lab.cluster.dispatch import dispatch
from lab.cluster.job import Work
from lab.engine.crun.engine import CrunEngine
from lab.image import store
from tests.helpers.scripted_session import WORK, Gathered, job

class Endless(CrunEngine):
    def read_image(self, parcel):
        yield from super().read_image(parcel)
        threading.Event().wait()

delivery.cut = partial(delivery.cut, size=10_000)
store.data_directory = lambda: Path(sys.argv[1]) / "here"
store._client = lambda: None
receiver._PROGRAM = "tests.helpers.other_machine"
engine = Endless()
cargo = Cargo(images=[engine.describe_image(sys.argv[2])], engine=engine)
with connect("local:1", None) as client:
    dispatch(client, [job("0")], Work(WORK, {"directory": sys.argv[1]}), Gathered(), print, cargo=cargo)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
@pytest.mark.usefixtures("parcel")
def test_caller_that_ends_in_the_middle_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    there = tmp_path / "there"
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, str(tmp_path), NAME], cwd=root, stderr=subprocess.DEVNULL, process_group=0
    ) as caller:
        try:
            begun = Expectation(
                what="an unpacked file",
                node="there",
                look=lambda: list(there.glob("images/.partial-*/rootfs/*")),
                met=bool,
            )
            wait_for(begun, within=PATIENCE)
            os.killpg(caller.pid, number)
            gone = Expectation(what="nothing", node="there", look=lambda: left(there), met=lambda found: not found)
            wait_for(gone, within=PATIENCE)
        finally:
            caller.kill()
