"""Unpacked root file systems as a stream, which tar(1) writes on one host and reads on another.

Owners, modes, times, links, device nodes and extended attributes, which are file capabilities too, stay as they are.
"""

import errno
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from lab.core.errors import EnvironmentBroken

_CHUNK: Final = 1 << 20
_ATTRIBUTES: Final = ("--numeric-owner", "--xattrs", "--xattrs-include=*")
_MAPS: Final = {"uid": Path("/proc/self/uid_map"), "gid": Path("/proc/self/gid_map")}
_ALL_IDS: Final = 0xFFFFFFFF
"""The number of ids of a host, which are all mapped outside of user namespaces."""


@dataclass(frozen=True)
class Needs:
    """The needs of a root file system on the host that stores it."""

    size: int
    """Bytes of its files."""
    uids: Sequence[int]
    gids: Sequence[int]
    devices: Sequence[str]
    """Device nodes, which ordinary users cannot create (mknod(2)); a whiteout of an overlay is none."""


def needs_of(rootfs: Path) -> Needs:
    """Return what a root file system needs where it is stored."""
    size, uids, gids, devices = 0, set(), set(), []
    for path in _entries(rootfs):
        found = path.lstat()
        uids.add(found.st_uid)
        gids.add(found.st_gid)
        if stat.S_ISREG(found.st_mode):
            size += found.st_size
        elif (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)) and found.st_rdev:
            devices.append(f"/{path.relative_to(rootfs)}")
    return Needs(size, sorted(uids), sorted(gids), devices)


def refuse_unstorable(needs: Needs, what: str) -> None:
    """Raise `EnvironmentBroken` if this process's user cannot store a root file system as it is."""
    is_whole = True
    for kind, wanted in (("uid", needs.uids), ("gid", needs.gids)):
        ranges = [tuple(map(int, line.split())) for line in _MAPS[kind].read_text().splitlines()]
        is_whole &= any(count == _ALL_IDS for _, _, count in ranges)
        lacking = [number for number in wanted if not any(f <= number < f + count for f, _, count in ranges)]
        if lacking:
            raise EnvironmentBroken(
                f"{what} has files of {kind} {lacking[0]}, which the worker's user cannot own: "
                f"give it more ids in /etc/sub{kind}, or run the worker as root"
            )
    if needs.devices and not is_whole:
        raise EnvironmentBroken(
            f"{what} has the device node {needs.devices[0]}, which an ordinary user cannot create: "
            "run the worker as root"
        )


def read(rootfs: Path) -> Iterator[bytes]:
    """Yield a root file system as a tar archive; raises `EnvironmentBroken` if it cannot be read to its end."""
    argv = ["tar", "-c", "--format=posix", *_ATTRIBUTES, "-C", str(rootfs), "-f", "-", "."]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        try:
            while chunk := process.stdout.read(_CHUNK):
                yield chunk
            if process.wait():
                raise EnvironmentBroken(f"the image in {rootfs} cannot be read: {_reason(errors)}")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def write(chunks: Iterable[bytes], rootfs: Path) -> None:
    """Unpack what `read` yields into an empty directory.

    Raises `EnvironmentBroken` if it cannot be unpacked, `OSError` if the disk is full, and what `chunks` raises.
    """
    options = ["--same-owner", "--same-permissions", "--delay-directory-restore", *_ATTRIBUTES]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            ["tar", "-x", "-C", str(rootfs), "-f", "-", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        assert process.stdin is not None
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
            failed = process.wait() != 0
        except BrokenPipeError:  # tar(1) has ended, and says why
            process.wait()
            failed = True
        finally:
            process.kill()
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()
        if failed:
            why = _reason(errors)
            if why.endswith(os.strerror(errno.ENOSPC)):
                raise OSError(errno.ENOSPC, why)
            raise EnvironmentBroken(f"an image cannot be unpacked into {rootfs}: {why}")


def _entries(directory: Path) -> Iterator[Path]:
    yield directory
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            yield Path(parent, name)


def _reason(errors: IO[str]) -> str:
    """Return the first message of tar(1), the cause of the others."""
    errors.seek(0)
    return (errors.read().strip().splitlines() or ["no reason given"])[0].removeprefix("tar: ")
