"""Faults in the configurations of running routing daemons, made and undone at run time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lab.routing.bird.control import Control
from lab.routing.frr.vty import Vty
from lab.runtime.router import Router


@contextmanager
def frr_lines(
    router: Router, on: Sequence[str], off: Sequence[str], *, clear: str = "", daemon: str = "bgpd"
) -> Iterator[None]:
    """Enter lines at an FRR, and others at the end; `clear` is the end of a `clear bgp` command after each."""
    for lines in (on, off):
        with Vty(router.running.root, daemon) as vty:
            vty.configure(lines)
            if clear:
                vty.ask(f"clear bgp {clear}")
        if lines is on:
            try:
                yield
            except BaseException:
                with Vty(router.running.root, daemon) as vty:
                    vty.configure(off)
                raise


@contextmanager
def bird_text(router: Router, old: str, new: str, *, file: str = "bird.conf", count: int = -1) -> Iterator[None]:
    """Replace a text in a file of a BIRD, or append to it if `old` is empty, and configure it again at the end."""
    path = router.running.files / "etc/bird" / file
    before = path.read_text()
    assert old in before, f"{old!r} is not in {path}"
    path.write_text(before.replace(old, new, count) if old else before + new)
    configure(router)
    try:
        yield
    finally:
        path.write_text(before)
        configure(router)


def configure(router: Router, *commands: str) -> None:
    """Let a BIRD read its files, and run commands of birdc."""
    with Control(router.running.root) as control:
        for command in ("configure", *commands):
            control.ask(command)
