"""FRR's command socket, against a daemon in a thread of the test."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.event_times import EventTimes
from lab.engine import Instance, NodeState
from lab.routing import plan_routers
from lab.routing.frr import Frr
from lab.routing.frr import vty as vty_module
from lab.routing.frr.vty import Vty
from lab.topology import Topology

OK, WARNING, NO_MATCH = 0, 1, 2
DIES = b"DIES"
SAMPLES = Path(__file__).parents[2] / "data" / "frr"


class FakeDaemon:
    """Reads commands that end with a zero byte; answers with text, three zero bytes and a status."""

    def __init__(self, root: Path, answers: Mapping[str, tuple[int, str] | bytes], chunk: int = 0) -> None:
        self.heard: list[str] = []
        self._answers = {"enable": (OK, ""), **answers}
        self._chunk = chunk
        path = root / "run/frr/bgpd.vty"
        path.parent.mkdir(parents=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(4)
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
        pending = b""
        while received := client.recv(65536):
            pending += received
            while b"\0" in pending:
                line, _, pending = pending.partition(b"\0")
                command = line.decode()
                self.heard.append(command)
                answer = self._answers.get(command, (OK, ""))
                if isinstance(answer, bytes):
                    client.sendall(answer.removesuffix(DIES))
                    if answer.endswith(DIES):
                        return
                    continue
                status, text = answer
                data = text.encode() + b"\0\0\0" + bytes([status])
                size = self._chunk or len(data)
                for start in range(0, len(data), size):
                    client.sendall(data[start : start + size])


Serve = Callable[..., FakeDaemon]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[FakeDaemon] = []

    def start(answers: Mapping[str, tuple[int, str] | bytes] | None = None, chunk: int = 0) -> FakeDaemon:
        started.append(FakeDaemon(tmp_path, answers or {}, chunk))
        return started[-1]

    yield start
    for daemon in started:
        daemon.close()


@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_answer_is_complete_in_parts_of_any_size(serve: Serve, tmp_path: Path, chunk: int) -> None:
    daemon = serve({"show version": (OK, "FRRouting 10.3\r\non Linux\r\n")}, chunk)
    with Vty(tmp_path, "bgpd") as vty:
        assert vty.ask("show version") == "FRRouting 10.3\r\non Linux\r\n"
        assert vty.ask("clear bgp *") == ""
    assert daemon.heard == ["enable", "show version", "clear bgp *"]


def test_long_answer_is_complete(serve: Serve, tmp_path: Path) -> None:
    text = "x" * (3 << 20)
    serve({"show everything": (OK, text)})
    with Vty(tmp_path, "bgpd") as vty:
        assert vty.ask("show everything") == text


def test_warning_is_an_answer(serve: Serve, tmp_path: Path) -> None:
    serve({"show bgp ipv4 unicast": (WARNING, "No BGP prefixes displayed, 0 exist\n")})
    with Vty(tmp_path, "bgpd") as vty:
        assert "0 exist" in vty.ask("show bgp ipv4 unicast")


def test_json_is_parsed_and_empty_output_is_an_empty_object(serve: Serve, tmp_path: Path) -> None:
    serve({"show a json": (OK, ' {"a": [1]}\n'), "show b json": (WARNING, "\n")}, chunk=2)
    with Vty(tmp_path, "bgpd") as vty:
        assert vty.ask_json("show a json") == {"a": [1]}
        assert vty.ask_json("show b json") == {}


def test_refusal_names_the_daemon_the_command_and_the_output(serve: Serve, tmp_path: Path) -> None:
    serve({"show foo": (NO_MATCH, "% [BGP] Unknown command: show foo\n"), "bare": (9, "")})
    with Vty(tmp_path, "bgpd") as vty:
        with pytest.raises(EnvironmentBroken) as caught:
            vty.ask("show foo")
        assert str(caught.value) == "bgpd refused `show foo`: % [BGP] Unknown command: show foo"
        with pytest.raises(EnvironmentBroken, match="refused `bare`: status 9"):
            vty.ask("bare")
        assert vty.ask("show version") == "", "the connection stays open"


def test_configuration_is_entered_line_by_line_and_ended(serve: Serve, tmp_path: Path) -> None:
    daemon = serve()
    with Vty(tmp_path, "bgpd") as vty:
        vty.configure(["router bgp 1", "network 10.0.0.0/8"])
    assert daemon.heard[1:] == ["configure terminal", "router bgp 1", "network 10.0.0.0/8", "end"]


def test_configuration_is_ended_after_a_refused_line(serve: Serve, tmp_path: Path) -> None:
    daemon = serve({"bad line": (NO_MATCH, "% Unknown command")})
    with Vty(tmp_path, "bgpd") as vty, pytest.raises(EnvironmentBroken, match="`bad line`"):
        vty.configure(["router bgp 1", "bad line", "never sent"])
    assert daemon.heard[1:] == ["configure terminal", "router bgp 1", "bad line", "end"]


@pytest.mark.parametrize("answer", [DIES, b"half an ans" + DIES, b"text\0\0" + DIES])
def test_daemon_that_exits_is_named_with_the_command(serve: Serve, tmp_path: Path, answer: bytes) -> None:
    serve({"show version": answer})
    with (
        Vty(tmp_path, "bgpd") as vty,
        pytest.raises(EnvironmentBroken, match="before it answered `show version`"),
    ):
        vty.ask("show version")


def test_daemon_that_exits_during_a_configuration_is_named(serve: Serve, tmp_path: Path) -> None:
    serve({"router bgp 1": DIES})
    with Vty(tmp_path, "bgpd") as vty, pytest.raises(EnvironmentBroken, match="bgpd closed the connection"):
        vty.configure(["router bgp 1"])


def test_silent_daemon_times_out(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vty_module, "_PATIENCE", 0.2)
    serve({"show version": b""})
    with Vty(tmp_path, "bgpd") as vty, pytest.raises(EnvironmentBroken, match="did not answer `show version`"):
        vty.ask("show version")


def test_missing_daemon_and_socket_of_an_ended_one_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBroken, match=r"no bgpd process listens on .* \(No such file"):
        Vty(tmp_path, "bgpd")
    path = tmp_path / "run/frr/bgpd.vty"
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(EnvironmentBroken, match=r"no bgpd process listens on .* \(Connection refused\)"):
        Vty(tmp_path, "bgpd")


@pytest.mark.parametrize("greeting", [(OK, ""), (NO_MATCH, "% no"), DIES], ids=["ok", "refused", "died"])
def test_closing_a_connection_closes_its_socket(
    serve: Serve, tmp_path: Path, greeting: tuple[int, str] | bytes
) -> None:
    serve({"enable": greeting})
    made: list[socket.socket] = []

    class Remembered(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            if threading.current_thread() is threading.main_thread():  # those of the daemon's thread are its own
                made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.core.unix_socket.socket.socket", Remembered)
        try:
            with Vty(tmp_path, "bgpd"):
                pass
        except EnvironmentBroken:
            assert greeting != (OK, "")
    assert [one.fileno() for one in made] == [-1]


# --- commands of `Frr` ---------------------------------------------------------------------------


class Node:
    """A node whose root is a directory of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = "branch"
        self.event_times = EventTimes()
        self.instance = Instance("x", "branch", "clab-x-branch", "image", NodeState.RUNNING, root)


def test_prefixes_are_announced_and_withdrawn_by_family(serve: Serve, tmp_path: Path, article: Topology) -> None:
    daemon = serve()
    node: Any = Node(tmp_path)
    plan = plan_routers(article)["branch"]
    prefixes = [ip_network(p) for p in ("10.9.0.0/24", "2001:db8:9::/64", "10.8.0.0/24")]
    Frr().announce(node, plan, prefixes)
    Frr().withdraw(node, plan, prefixes[1:2])
    bgp, ipv4, ipv6 = "router bgp 65002", "address-family ipv4 unicast", "address-family ipv6 unicast"
    assert [line for line in daemon.heard if line != "enable"] == [
        *("configure terminal", bgp, ipv4, "network 10.9.0.0/24", "network 10.8.0.0/24", "end"),
        *("configure terminal", bgp, ipv6, "network 2001:db8:9::/64", "end"),
        *("configure terminal", bgp, ipv6, "no network 2001:db8:9::/64", "end"),
    ]


def test_frr_reads_neighbours_and_rib(serve: Serve, tmp_path: Path) -> None:
    serve(
        {
            "show bgp neighbors json": (OK, (SAMPLES / "neighbors-established.json").read_text()),
            "show bgp ipv4 unicast json": (OK, (SAMPLES / "rib-ipv4-established.json").read_text()),
            "show bgp ipv6 unicast json": (WARNING, "{}"),
        },
        chunk=1000,
    )
    node: Any = Node(tmp_path)
    assert Frr().is_running(node)
    assert [str(n.address) for n in Frr().neighbors(node)] == ["10.255.0.1"]
    assert {str(p) for p in Frr().rib(node, "ipv4")} == {"10.1.0.0/24", "10.2.0.0/24"}
    assert {str(p) for p in Frr().originated(node, "ipv4")} == {"10.2.0.0/24"}
    assert Frr().rib(node, "ipv6") == {}


def test_daemon_that_does_not_run_is_named_in_the_diagnosis(tmp_path: Path) -> None:
    node: Any = Node(tmp_path)
    assert not Frr().is_running(node)
    diagnosis = Frr().diagnosis(node)
    assert all("process listens on" in text for text in diagnosis.values())
    assert "bgp-summary.txt" in diagnosis
