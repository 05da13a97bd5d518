"""Scheduler and worker as processes on the loopback address: TLS only, with certificates of one authority."""

import asyncio
import os
import re
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import create_connection

import pytest
from distributed import Client, Security
from distributed.comm import connect

from lab.cluster.certificates import certificate_file, key_file, write_certificates
from lab.cluster.resource import BLOCK
from lab.cluster.security import security
from tests.helpers.cluster_processes import LOOPBACK, PATIENCE, line, running, start


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates of the cluster."""
    write_certificates(directory := tmp_path_factory.mktemp("cluster") / "certs")
    return directory


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates of another cluster."""
    write_certificates(directory := tmp_path_factory.mktemp("other") / "certs")
    return directory


@pytest.fixture(scope="module")
def cluster(certs: Path) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and a worker: the address, and the process ids."""
    with ExitStack() as stack:
        scheduler = stack.enter_context(running("scheduler", "--certs", str(certs), "--host", LOOPBACK, "--port", "0"))
        address = line(scheduler, r"listens at (tls://\S+)")[1]
        worker = stack.enter_context(running("worker", address, "--certs", str(certs), "--name", "one"))
        line(worker, "the worker one at tls://")
        yield address, [scheduler.pid, worker.pid]


def listening(pid: int) -> list[int]:
    """Return the TCP ports at which a process listens (proc(5))."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if found := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())):
            sockets.add(found[1])
    ports = []
    for name in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = row.split()
            if state == "0A" and rest[5] in sockets:
                ports.append(int(local.rpartition(":")[2], 16))
    return ports


def answer(port: int, directory: Path | None) -> bytes:
    """Return the first bytes of a server that accepts a caller's certificate; raises `ssl.SSLError` if it does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if directory is not None:
        context.load_cert_chain(certificate_file(directory, "client"), key_file(directory, "client"))
    with create_connection((LOOPBACK, port), PATIENCE) as plain, context.wrap_socket(plain) as line:
        return line.recv(1)


def test_every_listening_port_wants_a_certificate(cluster: tuple[str, list[int]], certs: Path, others: Path) -> None:
    ports = {port for pid in cluster[1] for port in listening(pid)}
    assert len(ports) == 2, "one of each process, and none of HTTP"
    for port in ports:
        assert answer(port, certs)
        for refused in (None, others):
            with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca|certificate.required"):
                answer(port, refused)


def test_work_runs_one_block_at_a_time(cluster: tuple[str, list[int]], certs: Path) -> None:
    with Client(cluster[0], security=security(certs), timeout=PATIENCE, set_as_default=False) as client:
        (worker,) = client.scheduler_info()["workers"].values()
        assert (worker["name"], worker["resources"]) == ("one", {BLOCK: 1})
        assert client.submit(os.getpid, resources={BLOCK: 1}).result(PATIENCE) == cluster[1][1]


def test_client_of_another_authority_is_refused(cluster: tuple[str, list[int]], others: Path) -> None:
    with pytest.raises(OSError, match=r"(?i)certificate"):
        Client(cluster[0], security=security(others), timeout=PATIENCE, set_as_default=False)


def test_client_without_certificate_is_refused(cluster: tuple[str, list[int]]) -> None:
    arguments = Security().get_connection_args("client")
    with pytest.raises((OSError, TypeError)):
        asyncio.run(connect(cluster[0], timeout=5, **arguments))
    with pytest.raises(OSError, match="tcp://"):
        asyncio.run(connect(cluster[0].replace("tls", "tcp"), timeout=5, **arguments))


def test_worker_of_another_authority_is_refused(cluster: tuple[str, list[int]], others: Path) -> None:
    with start("worker", cluster[0], "--certs", str(others)) as worker:
        _, said = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 2
    (reason,) = [text for text in said.splitlines() if text.startswith("lab: ")]
    assert "refuse each other's certificates" in reason


def test_worker_of_two_authorities_is_refused(
    cluster: tuple[str, list[int]], certs: Path, others: Path, tmp_path: Path
) -> None:
    """It accepts the scheduler, which does not accept it."""
    mixed = tmp_path / "mixed"
    write_certificates(mixed)
    for name, source in (("ca.pem", certs), ("worker.pem", others), ("worker-key.pem", others)):
        (mixed / name).write_text((source / name).read_text())
    with start("worker", cluster[0], "--certs", str(mixed)) as worker:
        _, said = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 2
    assert "refuse each other's certificates" in said


def test_worker_starts_again_after_its_scheduler(certs: Path) -> None:
    with running("scheduler", "--certs", str(certs), "--host", LOOPBACK, "--port", "0") as scheduler:
        address = line(scheduler, r"listens at (tls://\S+)")[1]
        with running("worker", address, "--certs", str(certs)) as worker:
            line(worker, f"serves {address}")
            scheduler.send_signal(signal.SIGKILL)
            line(worker, "has lost .* and starts again")
            line(worker, f"waiting for {address}")
            port = address.rpartition(":")[2]
            with running("scheduler", "--certs", str(certs), "--host", LOOPBACK, "--port", port):
                line(worker, f"serves {address}")


def test_port_in_use_is_named(cluster: tuple[str, list[int]], certs: Path) -> None:
    port = cluster[0].rpartition(":")[2]
    with start("scheduler", "--certs", str(certs), "--host", LOOPBACK, "--port", port) as second:
        _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 2
    assert "cannot be listened at" in said.splitlines()[-1]
