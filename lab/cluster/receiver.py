"""The part in a worker of Dask that receives packages and images; it hands images to `lab.cluster.store`.

The caller runs these functions in a worker by `Client.run`, which carries their arguments over Dask's connections.
"""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from typing import Any, Final

from lab.cluster import package
from lab.cluster.job import JobFailed, Message
from lab.cluster.store import SIZE

_PROGRAM = "lab.cluster.store"
_ENDED: Final = 60.0
"""Seconds in which a process has to remove what it has stored by half."""


class _Store:
    def __init__(self, caller: str, digest: str) -> None:
        self.caller = caller
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=package.environment_of(digest),
            start_new_session=True,  # Ctrl-C is the caller's to tell
        )

    def ask(self, order: Message, content: bytes) -> Message:
        """Write an order, and return its answer; raises `JobFailed`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, perhaps with an error
            self._process.stdin.write(json.dumps({**order, SIZE: len(content)}).encode() + b"\n")
            self._process.stdin.write(content)
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            words = self._errors.read().strip().splitlines() or [f"exit code {code}"]
            raise JobFailed("EnvironmentBroken", f"the process that stores images ended: {words[-1]}")
        answer: Message = json.loads(line)
        if error := answer.get("error"):
            raise JobFailed(error["kind"], error["text"])
        return answer

    def close(self) -> None:
        """Interrupt the process, which removes what it has stored by half."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_ENDED)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_stores: dict[str, _Store] = {}
"""The process of each worker; several workers may be in this process of Dask."""


async def lacks_package(digest: str) -> bool:
    """Return whether this machine lacks a package."""
    return not await asyncio.to_thread(package.has_package, digest)


async def take_package(digest: str, archive: bytes) -> None:
    """Unpack a package on this machine."""
    await asyncio.to_thread(package.unpack_package, digest, archive)


async def store_image(caller: str, digest: str, order: Message, content: bytes, dask_worker: Any) -> Message:
    """Hand an order to the process of a caller's images, which runs a package, and return the answer."""
    address: str = dask_worker.address
    if address in _stores and _stores[address].caller != caller:
        await close_store(_stores[address].caller, dask_worker)
    if address not in _stores:
        _stores[address] = _Store(caller, digest)
    return await asyncio.to_thread(_stores[address].ask, order, content)


async def close_store(caller: str, dask_worker: Any) -> None:
    """End the process of a caller's images."""
    store = _stores.get(dask_worker.address)
    if store is not None and store.caller == caller:
        del _stores[dask_worker.address]
        await asyncio.to_thread(store.close)
