"""The command line: arguments and output. `lab.runtime.lab.Lab` does the work.

A command is a module named after it, imported when it is called, and imports slow packages inside its function, so that
`lab --help` and the shell's completion are fast.
"""

import atexit
import gc
import os
import signal
import sys
from types import FrameType

from lab.cli.app import app

_HELP, _COMPLETION = {"--help", "-h"}, "_LAB_COMPLETE"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """The program `lab`."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, and in a script's background
            signal.signal(number, _interrupt)
    if os.geteuid() != 0:
        _enter_namespaces()
    # A command makes many objects and little garbage: the collector would take a tenth of its processor time.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    app()


def _enter_namespaces() -> None:
    """Join the namespaces of an ordinary user's labs while this process has one thread; see `lab.engine`.

    Their network has no way out: who builds images or calls a cluster stays in the host's. The processes of a cluster
    stay outside altogether, and those that they start for labs join.
    """
    from contextlib import suppress

    from lab.core.errors import EnvironmentBroken
    from lab.engine import enter_namespaces
    from lab.host.oci_runtime import is_installed

    command = sys.argv[1:2]
    if _HELP & set(sys.argv) or _COMPLETION in os.environ or command == ["cluster"] or not is_installed():
        return
    outside = command == ["setup"] or any("tls://" in word for word in sys.argv)
    with suppress(EnvironmentBroken):  # a command that needs them says so
        enter_namespaces(network=not outside)


def _interrupt(_: int, __: FrameType | None) -> None:
    """End as by Ctrl-C; further signals are ignored, so that they do not interrupt the rollback."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
