"""The command line: arguments and output. `lab.runtime.lab.Lab` does the work.

A command is a module named after it, imported when it is called, and imports slow packages inside its function, so that
`lab --help` and the shell's completion are fast.
"""

import atexit
import gc
import signal
from types import FrameType

from lab.cli.app import app

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """The program `lab`."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, and in a script's background
            signal.signal(number, _interrupt)
    # A command makes many objects and little garbage: the collector would take a tenth of its processor time.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    app()


def _interrupt(_: int, __: FrameType | None) -> None:
    """End as by Ctrl-C; further signals are ignored, so that they do not interrupt the rollback."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
