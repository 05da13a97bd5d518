"""Connections to clusters: one at an address, by TLS, or one of this host's own processes."""

import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.core.errors import EnvironmentBroken, InputError
from lab.core.extras import require
from lab.core.places import private, runtime_directory
from lab.core.process import is_alive, this_process

require("cluster", "distributed")
import dask  # noqa: E402 - after the check
from distributed import Client, SpecCluster  # noqa: E402

from lab.cluster.quiet import QuietScheduler, QuietWorker  # noqa: E402
from lab.cluster.resource import BLOCK  # noqa: E402
from lab.cluster.security import is_tls, refused, security  # noqa: E402

_LOCAL = re.compile(r"local:([1-9][0-9]{0,2})")
_TIMEOUT = 20
"""Seconds in which a scheduler has to answer."""


def local_workers(address: str) -> int | None:
    """Return the number of workers of an address as `local:3`; None for a scheduler's address."""
    found = _LOCAL.fullmatch(address)
    return int(found[1]) if found else None


@contextmanager
def connect(address: str, certificates: Path | None) -> Iterator[Client]:
    """Connect to a cluster; raises `InputError` for an address that is none, or is not protected by TLS."""
    count = local_workers(address)
    if count is not None:
        with _local(count) as client:
            yield client
        return
    if not is_tls(address):
        raise InputError(f"--cluster {address}: give a scheduler's address as tls://HOST:8786, or local:N")
    if certificates is None:
        raise InputError(f"--cluster {address} needs --certs with the directory that `lab cluster certs` has written")
    try:
        client = Client(address, security=security(certificates), timeout=_TIMEOUT, set_as_default=False)
    except OSError as error:
        raise refused(address, error) or EnvironmentBroken(f"no scheduler answers at {address}: {error}") from error
    with client:
        yield client


def workers_of(client: Client) -> dict[str, dict[str, Any]]:
    """Return the workers of a cluster by address, as its scheduler knows them now.

    `Client.scheduler_info` may return what the client asked for itself in the meantime, which has no workers.
    """
    known: dict[str, dict[str, Any]] = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
    return known


@contextmanager
def _local(count: int) -> Iterator[Client]:
    """Start a scheduler and workers in this process, which listen on no port; each has a process for its labs."""
    name = platform.node() or "localhost"
    scratch = tempfile.TemporaryDirectory(prefix=f"{this_process()}.", dir=_clusters())
    with scratch as directory, dask.config.set(_SETTINGS):
        options = {"nthreads": 1, "resources": {BLOCK: 1}, "memory_limit": None, "local_directory": directory}
        options |= {"protocol": "inproc", "dashboard": False}
        workers = {
            number: {"cls": QuietWorker, "options": {**options, "name": f"{name}-{number}"}}
            for number in range(1, count + 1)
        }
        scheduler = {"cls": QuietScheduler, "options": {"protocol": "inproc", "dashboard": False}}
        with (
            SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


def _clusters() -> Path:
    """Return the directory for files of Dask's, without those of processes that were killed."""
    clusters = private(runtime_directory() / "clusters")
    for left in clusters.iterdir():
        if not is_alive(left.name.partition(".")[0]):
            shutil.rmtree(left, ignore_errors=True)  # another process may remove it as well
    return clusters


_SETTINGS = {"distributed.worker.memory.terminate": False, "distributed.admin.tick.limit": "60s"}
