"""Disks that are full, read-only or `noexec`, on the engine without a daemon: one sentence, and nothing is left."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.core.places import data_directory, host_uid, runtime_directory
from lab.engine import Engine
from tests.helpers.labs import PAIR, Write
from tests.helpers.program import PATIENCE

pytestmark = pytest.mark.docker


@dataclass(frozen=True)
class Places:
    """Mounts other file systems over directories of the lab, for commands that follow each other and then end."""

    file: Path
    name: str

    def run(self, *script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script in which `lab` is the program, and the mounts of no other process change."""
        program = f'lab() {{ {sys.executable} -m lab.cli "$@"; }}'
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", "\n".join((program, *script))],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.file.parent,
            timeout=PATIENCE,
        )

    def up(self, directory: Path, options: str) -> tuple[int, str]:
        """Bring a lab up with a file system mounted over `directory`; return the exit code and the lab's last sentence.

        Fails if a lab that did not come up has left a node, or its directory.
        """
        nodes = runtime_directory() / "nodes"
        done = self.run(
            f"mount -t tmpfs -o mode=700,{options} tmpfs {directory}",
            f"lab up {self.file} --engine crun",
            "code=$?",
            f"[ $code = 0 ] || ls {nodes} {self.file.parent / '.lab' / self.name}",
            f"[ $code != 0 ] || lab exec --lab {self.name} one -- true || code=70",
            f"lab down {self.file} >/dev/null 2>&1",
            "exit $code",
        )
        if done.returncode:
            assert self.name not in done.stdout
        assert list(processes_with(self.name)) == []
        assert "Traceback" not in done.stderr, done.stderr
        assert "supervise.sh" not in done.stderr, done.stderr
        # `ls` reports a missing directory itself, and what the runtime printed in a node follows the sentence.
        said = [line for line in done.stderr.splitlines() if line.startswith("lab: ")]
        return done.returncode, (said or [done.stderr])[-1]


@pytest.fixture
def places(engine: Engine, write: Write, name: str) -> Places:
    if engine.name != "crun":
        pytest.skip("Docker keeps nodes and images itself")
    if host_uid() != 0:
        pytest.skip("mounts over the directories of root's labs")
    return Places(write(PAIR).file, name)


def processes_with(name: str) -> Iterator[str]:
    """Yield the arguments of processes that name a lab, but for those of this test run."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = file.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if name in arguments:
            yield arguments


@pytest.mark.parametrize("size", ["8k", "20k", "28k", "36k", "44k"])
def test_disk_of_nodes_that_is_full_is_named(places: Places, size: str) -> None:
    """At whatever moment of the start: the sizes are for less than a node, and for nearly two."""
    code, said = places.up(runtime_directory(), f"size={size}")
    assert code == 2
    # The kernel's words, or the runtime's, or the lab's.
    assert "no space left on device" in said.lower() or "the disk is full" in said


def test_disk_of_nodes_that_is_read_only_is_named(places: Places) -> None:
    code, said = places.up(runtime_directory(), "ro")
    assert code == 2
    assert str(runtime_directory()) in said
    assert "Read-only file system" in said


def test_nodes_run_from_a_disk_without_programs(places: Places) -> None:
    """Debian mounts /run `noexec`; the overlay on it is not."""
    code, said = places.up(runtime_directory(), "noexec")
    assert code == 0, said


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("size=1m", "the disk is full: unpacking openvpn-routing-lab/node:2.6"),
        ("ro", "Read-only file system"),
        ("noexec", "is on a file system mounted noexec"),
    ],
)
def test_disk_of_images_that_cannot_be_used_is_named(places: Places, options: str, why: str) -> None:
    code, said = places.up(data_directory(), options)
    assert code == 2
    assert str(data_directory()) in said
    assert why in said


def test_image_that_was_deleted_under_a_running_lab_is_named(places: Places) -> None:
    done = places.run(
        f"mount -t tmpfs -o mode=700 tmpfs {data_directory()}",
        f"lab up {places.file} --engine crun >/dev/null 2>&1 || exit 70",
        f"rm -r {data_directory()}/images",
        f"lab exec --lab {places.name} one -- true",
        "code=$?",
        f"lab down {places.file} >/dev/null 2>&1 || exit 71",
        f"lab list --json | grep {places.name} && exit 72",
        "exit $code",
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lab: one: its image was deleted while it runs: take the lab down and up again\n"
    assert list(processes_with(places.name)) == []
