"""The processes of a cluster: Dask's scheduler and worker, which speak TLS only.

Dask's HTTP server has no TLS: the scheduler's listens on the loopback address, and only if it is asked for.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from distributed import Scheduler
from distributed.comm import connect

from lab.cluster.quiet import QuietScheduler, QuietWorker
from lab.cluster.resource import BLOCK
from lab.cluster.security import SCHEME, refused, require_tls, security
from lab.core.errors import EnvironmentBroken
from lab.core.progress import Say

PORT: Final = 8786
"""Dask's own."""
_DASHBOARD: Final = "127.0.0.1:8787"
_THREADS: Final = 2
"""One for a block, and one for questions in the meantime."""
_LOST: Final = "30 s"
"""Without a heartbeat for so long a worker counts as lost, and its block runs elsewhere."""
_ANSWER: Final = 10
"""Seconds for one attempt to connect to a scheduler."""
_PAUSE: Final = 1
"""Seconds between two attempts."""

logging.getLogger("distributed").setLevel(logging.WARNING)


def run_scheduler(certificates: Path, host: str, port: int, *, dashboard: bool, say: Say) -> None:
    """Run a scheduler until SIGTERM or SIGINT.

    Raises `InputError` for certificates that cannot be used, `EnvironmentBroken` if the port cannot be had.
    """
    settings = security(certificates, "scheduler")

    async def run() -> None:
        kind = Scheduler if dashboard else QuietScheduler
        more = {"dashboard": True, "dashboard_address": _DASHBOARD} if dashboard else {"dashboard": False}
        try:
            scheduler = await kind(host=f"{SCHEME}{host}:{port}", security=settings, worker_ttl=_LOST, **more)
        except RuntimeError as error:  # of Dask, whatever failed
            why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else None
            if why is None:
                raise
            raise EnvironmentBroken(
                f"{SCHEME}{host}:{port} cannot be listened at: {why}: choose another --host or --port"
            ) from error
        say(f"the scheduler listens at {scheduler.address}" + (f", its dashboard at http://{_DASHBOARD}" * dashboard))
        await _until_signal(scheduler.finished())
        await scheduler.close()

    asyncio.run(run())


def run_worker(address: str, certificates: Path, name: str | None, *, say: Say) -> None:
    """Run a worker until SIGTERM or SIGINT; a scheduler that is not there is waited for.

    A worker that loses its scheduler starts again as a new process image, and so ends what it ran. Raises `InputError`
    for certificates that cannot be used or that the scheduler refuses.
    """
    settings = security(certificates, "worker")
    require_tls(address)

    async def run() -> bool:
        await _reach(address, settings.get_connection_args("worker"), say)
        worker = await QuietWorker(
            address,
            name=name or socket.gethostname(),
            security=settings,
            protocol=SCHEME.rstrip(":/"),
            nthreads=_THREADS,
            resources={BLOCK: 1},
            memory_limit=0,
        )
        say(f"the worker {worker.name} at {worker.address} serves {address}")
        ended = await _until_signal(worker.finished())
        await worker.close(executor_wait=False)
        return ended

    if asyncio.run(run()):
        say(f"the worker has lost {address} and starts again")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same program again


async def _reach(address: str, arguments: dict[str, Any], say: Say) -> None:
    """Wait until a scheduler answers; raises `InputError` if it and this worker refuse each other's certificates."""
    waiting = False
    while True:
        try:
            comm = await connect(address, timeout=_ANSWER, **arguments)
        except OSError as error:
            if refusal := refused(address, error):
                raise refusal from error
            if not waiting:
                waiting = True
                say(f"waiting for {address}: {error}")
            await asyncio.sleep(_PAUSE)
        else:
            comm.abort()
            return


async def _until_signal(ends: Coroutine[Any, Any, Any]) -> bool:
    """Wait for SIGTERM, SIGINT or the end of a server; return whether it has ended by itself."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.ensure_future(ends), asyncio.create_task(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    return not stop.is_set()
