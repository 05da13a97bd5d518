"""The management interface, against a socket that speaks as OpenVPN 2.6 does."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.tunnel import management
from lab.tunnel.management import Bytes, InnerRoute, Management, ManagementError

GREETING = ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\n"
DATA = Path(__file__).parents[2] / "data" / "openvpn"
CLIENT_STATE = "1795485481,CONNECTED,SUCCESS,10.255.0.2,198.51.100.1,1194,198.51.100.5,59582,2001:db8:ff::2\nEND\n"
SERVER_STATE = "1795485481,CONNECTED,SUCCESS,10.255.0.1,,,198.51.100.1,1194,2001:db8:ff::1\nEND\n"
DIES = "\0"
NOTICE = ">STATE:1795485499,RECONNECTING,ping-restart,,,,,\n"
VERSION = (
    "OpenVPN Version: OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO] [LZ4] [EPOLL] [PKCS11] [AEAD] [DCO]\n"
    "Management Version: 5\n"
    "END\n"
)


class FakeOpenVpn:
    """A process that serves one management client at a time, with answers by command.

    Lines end with CR and LF, as OpenVPN's do. An answer that ends with `DIES` is its last.
    """

    def __init__(
        self, path: Path, answers: Mapping[str, str], *, greeting: str = GREETING, chunk: int = 0, queue: int = 8
    ):
        self.heard: list[str] = []
        self.said_goodbye = 0
        self._answers, self._greeting, self._chunk = answers, greeting, chunk
        path.parent.mkdir(parents=True, exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        directory = os.open(path.parent, os.O_PATH)
        self._socket.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        self._socket.listen(queue)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            client.settimeout(10)
            with client:
                try:
                    self._talk(client)
                except OSError:
                    continue

    def _talk(self, client: socket.socket) -> None:
        self._say(client, self._greeting)
        with client.makefile("r", newline="\n") as lines:
            for line in lines:
                command = line.rstrip("\n")
                self.heard.append(command)
                if command == "quit":
                    self.said_goodbye += 1
                    return
                answer = self._answers.get(command, "ERROR: unknown command, enter 'help' for more options\n")
                self._say(client, answer.removesuffix(DIES))
                if answer.endswith(DIES):
                    return

    def _say(self, client: socket.socket, text: str) -> None:
        data = text.replace("\n", "\r\n").encode()
        size = self._chunk or len(data) or 1
        for start in range(0, len(data), size):
            client.sendall(data[start : start + size])


Serve = Callable[..., FakeOpenVpn]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "openvpn.sock"


@pytest.fixture
def serve(path: Path) -> Iterator[Serve]:
    started: list[FakeOpenVpn] = []

    def start(answers: Mapping[str, str], **more: str | int) -> FakeOpenVpn:
        started.append(FakeOpenVpn(path, answers, **more))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than a moment for a process that says nothing."""
    monkeypatch.setattr(management, "_DEADLINE", 0.2)


# --- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_a_server_status_is_read_however_it_arrives(serve: Serve, path: Path, chunk: int) -> None:
    serve({"status 3": (DATA / "status-3.txt").read_text()}, chunk=chunk)
    with Management(path) as asked:
        status = asked.server_status()
    assert status.title.startswith("OpenVPN 2.6.14")
    (client,) = status.clients
    assert (client.common_name, client.real_address) == ("branch", "198.51.100.5:59582")
    assert (client.ipv4, client.ipv6) == (ip_address("10.255.0.2"), ip_address("2001:db8:ff::2"))
    assert (client.bytes_received, client.bytes_sent) == (4727, 4667)
    assert client.connected_since == datetime(2026, 11, 24, 1, 58, 1, tzinfo=UTC)
    assert (client.client_id, client.cipher) == (3, "AES-256-GCM")
    assert InnerRoute("/0", "branch", "198.51.100.5:59582") in status.routes
    assert [r.address for r in status.routes] == [
        "2001:db8:ff::2",
        "/0",
        "10.255.0.2",
        "::/0",
        "fe80::69e6:5c6a:c9e9:701cC",
    ]


def test_a_server_without_clients_has_none(serve: Serve, path: Path) -> None:
    text = (DATA / "status-3.txt").read_text()
    empty = "".join(x for x in text.splitlines(keepends=True) if not x.startswith(("CLIENT_LIST", "ROUTING_TABLE")))
    serve({"status 3": empty})
    with Management(path) as asked:
        status = asked.server_status()
    assert (status.clients, status.routes) == ((), ())
    assert status.title


def test_a_client_that_has_no_address_yet_is_a_client(serve: Serve, path: Path) -> None:
    text = (DATA / "status-3.txt").read_text().replace("\t10.255.0.2\t2001:db8:ff::2\t", "\t\t\t")
    serve({"status 3": text})
    with Management(path) as asked:
        (client,) = asked.server_status().clients
    assert (client.ipv4, client.ipv6) == (None, None)


def test_the_state_of_a_client(serve: Serve, path: Path) -> None:
    serve({"state": CLIENT_STATE})
    with Management(path) as asked:
        state = asked.state()
    assert state.connected
    assert (state.name, state.description, state.remote) == ("CONNECTED", "SUCCESS", "198.51.100.1")
    assert state.local == ip_address("10.255.0.2")
    assert state.since == datetime(2026, 11, 24, 1, 58, 1, tzinfo=UTC)


def test_a_server_that_is_ready_is_connected_to_nobody(serve: Serve, path: Path) -> None:
    serve({"state": SERVER_STATE})
    with Management(path) as asked:
        state = asked.state()
    assert (state.connected, state.local, state.remote) == (True, ip_address("10.255.0.1"), "")


def test_a_state_without_addresses(serve: Serve, path: Path) -> None:
    serve({"state": "1795485481,RECONNECTING,tls-error,,,,,\nEND\n"})
    with Management(path) as asked:
        state = asked.state()
    assert (state.connected, state.local, state.description) == (False, None, "tls-error")


def test_notices_come_at_any_time_and_are_no_answers(serve: Serve, path: Path) -> None:
    lines = (DATA / "status-3.txt").read_text().splitlines(keepends=True)
    serve(
        {
            "state": NOTICE + CLIENT_STATE.replace("END", NOTICE + "END"),
            "status 3": NOTICE.join(lines),
            "pid": NOTICE + "SUCCESS: pid=17\n",
        },
        chunk=11,
    )
    with Management(path) as asked:
        assert asked.state().name == "CONNECTED"
        assert len(asked.server_status().routes) == 5
        assert asked.pid() == 17


def test_numbers_and_the_version(serve: Serve, path: Path) -> None:
    serve(
        {
            "pid": "SUCCESS: pid=8\n",
            "load-stats": "SUCCESS: nclients=1,bytesin=4727,bytesout=4667\n",
            "version": VERSION,
        }
    )
    with Management(path) as asked:
        assert asked.pid() == 8
        assert asked.bytes() == Bytes(received=4727, sent=4667)
        assert asked.version() == "2.6.14"


def test_commands_are_spelled_as_openvpn_knows_them(serve: Serve, path: Path) -> None:
    server = serve({"client-kill 3": "SUCCESS: client-kill command succeeded\n", "signal SIGUSR1": "SUCCESS: fired\n"})
    with Management(path) as asked:
        asked.kill_client(3)
        asked.signal("SIGUSR1")
    assert server.heard == ["client-kill 3", "signal SIGUSR1", "quit"]


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        ("client-kill 99", lambda asked: asked.kill_client(99)),
        ("status 3", lambda asked: asked.server_status()),
        ("state", lambda asked: asked.state()),
    ],
)
def test_a_refusal_names_the_command_and_openvpns_words(
    serve: Serve, path: Path, command: str, ask: Callable[[Management], object]
) -> None:
    serve({command: "ERROR: client-kill command failed\n"})
    with Management(path) as asked, pytest.raises(ManagementError) as caught:
        ask(asked)
    assert f"OpenVPN refused `{command}`: ERROR: client-kill command failed" in str(caught.value)
    assert str(path) in str(caught.value)


# --- waiting for a state -----------------------------------------------------------------------------------

HISTORY = "SUCCESS: real-time state notification set to ON\n1795485480,CONNECTING,,,,,,\n1795485481,WAIT,,,,,,\nEND\n"
CONNECTED = ">STATE:1795485482,CONNECTED,SUCCESS,10.255.0.2,198.51.100.1,1194,198.51.100.5,59582,2001:db8:ff::2\n"


def soon() -> float:
    return time.monotonic() + 10


def test_a_state_that_was_reached_before_is_found_in_the_history(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY.replace("END\n", CONNECTED.removeprefix(">STATE:") + "END\n")})
    with Management(path) as asked:
        assert asked.wait_for_state("CONNECTED", soon()).connected


def test_a_state_is_awaited_by_its_notice(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY + ">STATE:1795485481,AUTH,,,,,,\n" + CONNECTED})
    with Management(path) as asked:
        state = asked.wait_for_state("CONNECTED", soon())
    assert (state.name, state.local) == ("CONNECTED", ip_address("10.255.0.2"))


def test_where_the_deadline_passes_the_last_state_is_told(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY})
    with Management(path) as asked:
        started = time.monotonic()
        state = asked.wait_for_state("CONNECTED", started + 0.2)
        assert time.monotonic() - started >= 0.2
    assert (state.name, state.connected) == ("WAIT", False)


def test_where_the_process_ends_the_last_state_is_told(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY + ">STATE:1795485483,EXITING,exit-with-notification,,,,,\n" + DIES})
    with Management(path) as asked:
        assert asked.wait_for_state("CONNECTED", soon()).name == "EXITING"


def test_where_nothing_was_heard_there_is_no_state(serve: Serve, path: Path) -> None:
    serve({"state on all": DIES})
    with Management(path) as asked, pytest.raises(ManagementError, match="closed the connection"):
        asked.wait_for_state("CONNECTED", soon())


# --- what goes wrong ---------------------------------------------------------------------------------------


def test_no_socket_and_no_directory_are_one_line(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.sock", tmp_path / "none" / "none.sock"):
        with pytest.raises(ManagementError, match=f"no OpenVPN process listens on {missing}"):
            Management(missing)


def test_a_socket_that_a_dead_process_left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(ManagementError, match="Connection refused"):
        Management(path)


@pytest.mark.parametrize("answer", ["", "1795485481,CONN", CLIENT_STATE.removesuffix("END\n")])
def test_a_process_that_ends_midway_is_named(serve: Serve, path: Path, answer: str) -> None:
    serve({"state": answer + DIES})
    with Management(path) as asked, pytest.raises(ManagementError, match=f"{path}: OpenVPN closed the connection"):
        asked.state()


@pytest.mark.usefixtures("hurried")
def test_a_process_that_does_not_greet_is_not_waited_for_for_ever(serve: Serve, path: Path) -> None:
    serve({}, greeting="")
    with pytest.raises(ManagementError, match="did not answer"):
        Management(path)


@pytest.mark.usefixtures("hurried")
def test_a_process_that_says_nothing_is_not_waited_for_for_ever(serve: Serve, path: Path) -> None:
    serve({"state": "", "pid": NOTICE})
    for ask in (Management.state, Management.pid):
        started = time.monotonic()
        with Management(path) as asked, pytest.raises(ManagementError, match="did not answer"):
            ask(asked)
        assert time.monotonic() - started < 5


@pytest.mark.usefixtures("hurried")
def test_a_process_that_chatters_without_answering_is_not_waited_for_for_ever(serve: Serve, path: Path) -> None:
    serve({"pid": NOTICE * 1000})
    with Management(path) as asked, pytest.raises(ManagementError, match="did not answer"):
        asked.pid()


def test_a_connection_ends_with_a_word_and_makes_room_for_the_next(serve: Serve, path: Path) -> None:
    server = serve({"pid": "SUCCESS: pid=8\n"})
    for turn in range(1, 4):
        with Management(path) as asked:
            assert asked.pid() == 8
        # The goodbye has been heard when the connection is closed: OpenVPN closes first.
        assert server.said_goodbye == turn


def test_a_second_asker_waits_for_its_turn(serve: Serve, path: Path) -> None:
    serve({"pid": "SUCCESS: pid=8\n"})
    order: list[str] = []

    def second() -> None:
        with Management(path) as asked:
            order.append(f"second {asked.pid()}")

    with Management(path) as asked:
        thread = threading.Thread(target=second)
        thread.start()
        order.append(f"first {asked.pid()}")
    thread.join(10)
    assert order == ["first 8", "second 8"]


def test_askers_wait_for_room_in_a_short_queue(serve: Serve, path: Path) -> None:
    """Many clients of one server ask it all at once, and OpenVPN lets only one or two queue up."""
    serve({"pid": "SUCCESS: pid=8\n"}, queue=0)

    def ask(_: int) -> int:
        with Management(path) as asked:
            return asked.pid()

    with ThreadPoolExecutor(8) as pool:
        with Management(path) as first:
            answers = pool.map(ask, range(8))
            assert first.pid() == 8
        assert list(answers) == [8] * 8


def test_a_queue_that_stays_full_is_not_waited_for_for_ever(serve: Serve, path: Path, hurried: None) -> None:
    serve({"pid": "SUCCESS: pid=8\n"}, queue=0)
    with Management(path), socket.socket(socket.AF_UNIX) as queued:
        queued.connect(str(path))
        with pytest.raises(ManagementError, match="no OpenVPN process listens"):
            Management(path)


def test_a_path_longer_than_a_socket_address_will_do(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "openvpn.sock"
    assert len(os.fspath(path)) > 200
    server = FakeOpenVpn(path, {"pid": "SUCCESS: pid=8\n"})
    try:
        with Management(path) as asked:
            assert asked.pid() == 8
    finally:
        server.close()


def test_nothing_is_left_open(serve: Serve, path: Path, tmp_path: Path) -> None:
    serve({"pid": "SUCCESS: pid=8\n"})

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for _ in range(3):
        with Management(path) as asked:
            asked.pid()
        with pytest.raises(ManagementError):
            Management(tmp_path / "none.sock")
    assert open_files() == before
