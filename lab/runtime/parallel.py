"""Call a function for several items in parallel."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WORKERS = 8


def in_parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call `work` for all items at once and wait for all of them; raises the first failure."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(_WORKERS, len(items))) as pool:
        try:
            with _signals_blocked():
                futures = [pool.submit(work, item) for item in items]
            wait(futures)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # waits for the items that have begun
            raise
    return [future.result() for future in futures]


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Delay signals: a thread whose start is interrupted keeps running, unknown to its pool."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
