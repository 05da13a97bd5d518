"""Dask's scheduler and worker without their HTTP servers, which would listen on a port without TLS."""

from typing import Any

from distributed import Scheduler, Worker


class _Quiet:
    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start nothing."""


class QuietScheduler(_Quiet, Scheduler):  # type: ignore[misc]
    """A scheduler that listens for workers and clients only."""


class QuietWorker(_Quiet, Worker):  # type: ignore[misc]
    """A worker that listens for its scheduler and other workers only."""
