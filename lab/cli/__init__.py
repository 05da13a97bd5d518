"""The command line. It only asks and shows: what it does to a lab is done by `lab.runtime.lab.Lab`.

Modules that are slow to import (Docker, netlink, cryptography, scapy) are imported inside the commands that need
them, so that `lab --help` and the shell's completion answer at once.
"""

import signal
from types import FrameType

from lab.cli.app import app

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """The program `lab`."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, and in a script's background
            signal.signal(number, _interrupt)
    app()


def _interrupt(_: int, __: FrameType | None) -> None:
    """End like Ctrl-C, however the end is asked for; asking again does not disturb the rollback."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
