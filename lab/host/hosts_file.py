"""The names of nodes in the host's /etc/hosts: a block of one lab's own, written and removed as a whole."""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HOSTS = Path("/etc/hosts")


def write_names(lab: str, names: Sequence[tuple[str, str]], file: Path = HOSTS) -> None:
    """Write a lab's block of addresses and names, in place of an earlier one; raises OSError."""
    lines = "".join(f"{address}\t{name}\n" for address, name in names)
    begin, end = _marks(lab)
    with _locked(file) as hosts:
        text = _without(hosts.read(), lab)
        _replace(hosts, f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{begin}\n{lines}{end}\n")


def remove_names(lab: str, file: Path = HOSTS) -> None:
    """Remove a lab's block; a file without one is not touched. Raises OSError."""
    begin, _ = _marks(lab)
    if not file.exists() or begin not in file.read_text(errors="surrogateescape"):
        return
    with _locked(file) as hosts:
        _replace(hosts, _without(hosts.read(), lab))


def _marks(lab: str) -> tuple[str, str]:
    return f"###### openvpn-routing-lab {lab} START ######", f"###### openvpn-routing-lab {lab} END ######"


def _without(text: str, lab: str) -> str:
    begin, end = map(re.escape, _marks(lab))
    return re.sub(rf"(?ms)^{begin}\n.*?^{end}\n", "", text)


@contextmanager
def _locked(file: Path) -> Iterator[IO[str]]:
    """Open the file for a change in place: in a container it may be a mount, which cannot be replaced."""
    with file.open("r+", errors="surrogateescape") as hosts:
        fcntl.flock(hosts, fcntl.LOCK_EX)
        yield hosts


def _replace(hosts: IO[str], text: str) -> None:
    hosts.seek(0)
    hosts.write(text)
    hosts.truncate()
    hosts.flush()
    os.fsync(hosts.fileno())
