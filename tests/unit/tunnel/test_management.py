"""The management interface, against a fake of OpenVPN 2.6."""

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
        self.commands: list[str] = []
        self.quits = 0
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
                self.commands.append(command)
                if command == "quit":
                    self.quits += 1
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
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time to wait for an answer."""
    monkeypatch.setattr(management, "_DEADLINE", 0.2)


# --- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_server_status_is_parsed_from_chunks_of_any_size(serve: Serve, path: Path, chunk: int) -> None:
    serve({"status 3": (DATA / "status-3.txt").read_text()}, chunk=chunk)
    with Management(path) as mgmt:
        status = mgmt.server_status()
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


def test_server_status_without_clients(serve: Serve, path: Path) -> None:
    text = (DATA / "status-3.txt").read_text()
    empty = "".join(x for x in text.splitlines(keepends=True) if not x.startswith(("CLIENT_LIST", "ROUTING_TABLE")))
    serve({"status 3": empty})
    with Management(path) as mgmt:
        status = mgmt.server_status()
    assert (status.clients, status.routes) == ((), ())
    assert status.title


def test_server_status_lists_client_without_address(serve: Serve, path: Path) -> None:
    text = (DATA / "status-3.txt").read_text().replace("\t10.255.0.2\t2001:db8:ff::2\t", "\t\t\t")
    serve({"status 3": text})
    with Management(path) as mgmt:
        (client,) = mgmt.server_status().clients
    assert (client.ipv4, client.ipv6) == (None, None)


def test_state_of_a_client(serve: Serve, path: Path) -> None:
    serve({"state": CLIENT_STATE})
    with Management(path) as mgmt:
        state = mgmt.state()
    assert state.connected
    assert (state.name, state.description, state.remote) == ("CONNECTED", "SUCCESS", "198.51.100.1")
    assert state.local == ip_address("10.255.0.2")
    assert state.since == datetime(2026, 11, 24, 1, 58, 1, tzinfo=UTC)


def test_state_of_a_ready_server_has_no_remote(serve: Serve, path: Path) -> None:
    serve({"state": SERVER_STATE})
    with Management(path) as mgmt:
        state = mgmt.state()
    assert (state.connected, state.local, state.remote) == (True, ip_address("10.255.0.1"), "")


def test_state_without_addresses(serve: Serve, path: Path) -> None:
    serve({"state": "1795485481,RECONNECTING,tls-error,,,,,\nEND\n"})
    with Management(path) as mgmt:
        state = mgmt.state()
    assert (state.connected, state.local, state.description) == (False, None, "tls-error")


def test_notifications_between_answers_are_skipped(serve: Serve, path: Path) -> None:
    lines = (DATA / "status-3.txt").read_text().splitlines(keepends=True)
    serve(
        {
            "state": NOTICE + CLIENT_STATE.replace("END", NOTICE + "END"),
            "status 3": NOTICE.join(lines),
            "pid": NOTICE + "SUCCESS: pid=17\n",
        },
        chunk=11,
    )
    with Management(path) as mgmt:
        assert mgmt.state().name == "CONNECTED"
        assert len(mgmt.server_status().routes) == 5
        assert mgmt.pid() == 17


def test_bytes_pid_and_version(serve: Serve, path: Path) -> None:
    serve(
        {
            "pid": "SUCCESS: pid=8\n",
            "load-stats": "SUCCESS: nclients=1,bytesin=4727,bytesout=4667\n",
            "version": VERSION,
        }
    )
    with Management(path) as mgmt:
        assert mgmt.pid() == 8
        assert mgmt.bytes() == Bytes(received=4727, sent=4667)
        assert mgmt.version() == "2.6.14"


def test_commands_are_sent_as_documented(serve: Serve, path: Path) -> None:
    server = serve({"client-kill 3": "SUCCESS: client-kill command succeeded\n", "signal SIGUSR1": "SUCCESS: fired\n"})
    with Management(path) as mgmt:
        mgmt.kill_client(3)
        mgmt.signal("SIGUSR1")
    assert server.commands == ["client-kill 3", "signal SIGUSR1", "quit"]


@pytest.mark.parametrize(
    ("command", "ask"),
    [
        ("client-kill 99", lambda mgmt: mgmt.kill_client(99)),
        ("status 3", lambda mgmt: mgmt.server_status()),
        ("state", lambda mgmt: mgmt.state()),
    ],
)
def test_refused_command_raises_with_command_and_answer(
    serve: Serve, path: Path, command: str, ask: Callable[[Management], object]
) -> None:
    serve({command: "ERROR: client-kill command failed\n"})
    with Management(path) as mgmt, pytest.raises(ManagementError) as caught:
        ask(mgmt)
    assert f"OpenVPN refused `{command}`: ERROR: client-kill command failed" in str(caught.value)
    assert str(path) in str(caught.value)


# --- waiting for a state -----------------------------------------------------------------------------------

HISTORY = "SUCCESS: real-time state notification set to ON\n1795485480,CONNECTING,,,,,,\n1795485481,WAIT,,,,,,\nEND\n"
CONNECTED = ">STATE:1795485482,CONNECTED,SUCCESS,10.255.0.2,198.51.100.1,1194,198.51.100.5,59582,2001:db8:ff::2\n"


def soon() -> float:
    return time.monotonic() + 10


def test_wait_for_state_finds_state_in_history(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY.replace("END\n", CONNECTED.removeprefix(">STATE:") + "END\n")})
    with Management(path) as mgmt:
        assert mgmt.wait_for_state("CONNECTED", soon()).connected


def test_wait_for_state_returns_on_notification(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY + ">STATE:1795485481,AUTH,,,,,,\n" + CONNECTED})
    with Management(path) as mgmt:
        state = mgmt.wait_for_state("CONNECTED", soon())
    assert (state.name, state.local) == ("CONNECTED", ip_address("10.255.0.2"))


def test_wait_for_state_returns_last_state_at_deadline(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY})
    with Management(path) as mgmt:
        started = time.monotonic()
        state = mgmt.wait_for_state("CONNECTED", started + 0.2)
        assert time.monotonic() - started >= 0.2
    assert (state.name, state.connected) == ("WAIT", False)


def test_wait_for_state_returns_last_state_if_process_ends(serve: Serve, path: Path) -> None:
    serve({"state on all": HISTORY + ">STATE:1795485483,EXITING,exit-with-notification,,,,,\n" + DIES})
    with Management(path) as mgmt:
        assert mgmt.wait_for_state("CONNECTED", soon()).name == "EXITING"


def test_wait_for_state_raises_if_process_ends_without_a_state(serve: Serve, path: Path) -> None:
    serve({"state on all": DIES})
    with Management(path) as mgmt, pytest.raises(ManagementError, match="closed the connection"):
        mgmt.wait_for_state("CONNECTED", soon())


# --- what goes wrong ---------------------------------------------------------------------------------------


def test_missing_socket_or_directory_is_one_line(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.sock", tmp_path / "none" / "none.sock"):
        with pytest.raises(ManagementError, match=f"no OpenVPN process listens on {missing}"):
            Management(missing)


def test_socket_of_a_dead_process_is_an_error(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(ManagementError, match="Connection refused"):
        Management(path)


@pytest.mark.parametrize("answer", ["", "1795485481,CONN", CLIENT_STATE.removesuffix("END\n")])
def test_process_that_ends_during_an_answer_is_an_error(serve: Serve, path: Path, answer: str) -> None:
    serve({"state": answer + DIES})
    with Management(path) as mgmt, pytest.raises(ManagementError, match=f"{path}: OpenVPN closed the connection"):
        mgmt.state()


@pytest.mark.usefixtures("short_deadline")
def test_missing_greeting_times_out(serve: Serve, path: Path) -> None:
    serve({}, greeting="")
    with pytest.raises(ManagementError, match="did not answer"):
        Management(path)


@pytest.mark.usefixtures("short_deadline")
def test_missing_answer_times_out(serve: Serve, path: Path) -> None:
    serve({"state": "", "pid": NOTICE})
    for ask in (Management.state, Management.pid):
        started = time.monotonic()
        with Management(path) as mgmt, pytest.raises(ManagementError, match="did not answer"):
            ask(mgmt)
        assert time.monotonic() - started < 5


@pytest.mark.usefixtures("short_deadline")
def test_notifications_without_an_answer_time_out(serve: Serve, path: Path) -> None:
    serve({"pid": NOTICE * 1000})
    with Management(path) as mgmt, pytest.raises(ManagementError, match="did not answer"):
        mgmt.pid()


def test_connection_ends_with_quit_and_the_next_succeeds(serve: Serve, path: Path) -> None:
    server = serve({"pid": "SUCCESS: pid=8\n"})
    for turn in range(1, 4):
        with Management(path) as mgmt:
            assert mgmt.pid() == 8
        # The fake has read `quit` when the connection is closed: OpenVPN closes first.
        assert server.quits == turn


def test_second_client_waits_for_the_first(serve: Serve, path: Path) -> None:
    serve({"pid": "SUCCESS: pid=8\n"})
    order: list[str] = []

    def second() -> None:
        with Management(path) as mgmt:
            order.append(f"second {mgmt.pid()}")

    with Management(path) as mgmt:
        thread = threading.Thread(target=second)
        thread.start()
        order.append(f"first {mgmt.pid()}")
    thread.join(10)
    assert order == ["first 8", "second 8"]


def test_clients_retry_while_the_queue_is_full(serve: Serve, path: Path) -> None:
    serve({"pid": "SUCCESS: pid=8\n"}, queue=0)

    def ask(_: int) -> int:
        with Management(path) as mgmt:
            return mgmt.pid()

    with ThreadPoolExecutor(8) as pool:
        with Management(path) as first:
            answers = pool.map(ask, range(8))
            assert first.pid() == 8
        assert list(answers) == [8] * 8


def test_full_queue_times_out(serve: Serve, path: Path, short_deadline: None) -> None:
    serve({"pid": "SUCCESS: pid=8\n"}, queue=0)
    with Management(path), socket.socket(socket.AF_UNIX) as queued:
        queued.connect(str(path))
        with pytest.raises(ManagementError, match="no OpenVPN process listens"):
            Management(path)


def test_socket_path_may_exceed_108_bytes(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "openvpn.sock"
    assert len(os.fspath(path)) > 200
    server = FakeOpenVpn(path, {"pid": "SUCCESS: pid=8\n"})
    try:
        with Management(path) as mgmt:
            assert mgmt.pid() == 8
    finally:
        server.close()


def test_no_file_descriptor_is_left_open(serve: Serve, path: Path, tmp_path: Path) -> None:
    serve({"pid": "SUCCESS: pid=8\n"})

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for _ in range(3):
        with Management(path) as mgmt:
            mgmt.pid()
        with pytest.raises(ManagementError):
            Management(tmp_path / "none.sock")
    assert open_files() == before
