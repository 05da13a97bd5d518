"""The command line. It only asks and shows: what it does to a lab is done by `lab.lab.Lab`.

Modules that are slow to import (Docker, netlink, cryptography, scapy) are imported inside the commands that need
them, so that `lab --help` and the shell's completion answer at once.
"""

import signal

from lab.cli.app import app


def main() -> None:
    """The program `lab`."""
    # Whoever ends the program in another way than Ctrl-C gets the same rollback.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    app()
