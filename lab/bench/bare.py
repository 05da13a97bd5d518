"""Nodes without the lab: what a shell script would run, as the baseline of each engine.

A ring of nodes: each is started by the engine's own program, eight at a time, then the veth pairs between neighbours
are created by one `ip -batch`, and each node's interfaces get their addresses by another one in its namespace.
"""

import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from lab.bench.ring import address, names
from lab.core.errors import EnvironmentBroken
from lab.core.places import runtime_directory
from lab.core.process import is_alive, this_process
from lab.engine.base import LABEL_DIRECTORY, LABEL_LAB, LABEL_NODE, LABEL_OWNER
from lab.host.oci_runtime import oci_runtime
from lab.image.store import unpacked

_AT_ONCE: Final = 8
"""Nodes that are started at the same time, as many as the lab starts."""
_STATE: Final = ".state"
"""The directory of the runtime's own state."""


class Bare(ABC):
    """Starts and removes nodes by a program."""

    program: str
    """The commands, for the names of figures."""

    @abstractmethod
    def start(self, node: str) -> int:
        """Start a node and return the pid of its first process."""

    @abstractmethod
    def remove(self, nodes: Sequence[str]) -> None:
        """Remove nodes."""

    def up(self, count: int) -> None:
        """Start a ring of nodes with their links."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            pids = list(pool.map(self.start, self.names(count)))
            _run("ip", "-batch", "-", text="".join(_link(pids, number) for number in range(count)))
            list(pool.map(lambda number: _address(pids[number], number, count), range(count)))

    def down(self, count: int) -> None:
        """Remove it."""
        self.remove(self.names(count))

    def names(self, count: int) -> list[str]:
        """Return the names of the nodes, unlike those of a lab."""
        return [f"bench-bare-{name}" for name in names(count)]


class BareDocker(Bare):
    """`docker run` and `docker rm`."""

    program = "docker run"

    def __init__(self, image: str) -> None:
        self._image = image

    def start(self, node: str) -> int:
        """Start a container without a network."""
        # With these labels it is a lab's node, which is removed with its owner also after `kill -9`.
        labels = {
            LABEL_LAB: "bench-bare",
            LABEL_NODE: node,
            LABEL_OWNER: this_process(),
            LABEL_DIRECTORY: "/nonexistent",
        }
        marks = [f"--label={key}={value}" for key, value in labels.items()]
        _run("docker", "run", "--detach", "--network=none", f"--name={node}", *marks, self._image)
        return int(_run("docker", "inspect", "--format={{.State.Pid}}", node))

    def remove(self, nodes: Sequence[str]) -> None:
        """Remove containers by one command."""
        _run("docker", "rm", "--force", *nodes)


class BareRuntime(Bare):
    """`mount -t overlay` and `crun run`, or `runc run`; one directory per node."""

    def __init__(self, image: str) -> None:
        self._runtime = oci_runtime()
        self.program = f"{Path(self._runtime).name} run"
        self._image = unpacked(image)
        directory = runtime_directory() / "bench"
        directory.mkdir(mode=0o700, exist_ok=True)
        self._root = directory / this_process()
        for left in directory.iterdir():  # of a bench that was killed
            if not is_alive(left.name):
                self._clear(left)
        self._root.mkdir()
        _run(self._runtime, "spec", at=self._root)
        self._spec: dict[str, Any] = json.loads((self._root / "config.json").read_text())
        # These nodes have no terminal, and the image's own command keeps them running.
        self._spec["process"] |= {"terminal": False, "args": [*self._image.config.entrypoint, *self._image.config.cmd]}
        self._spec["root"] = {"path": "root", "readonly": False}

    def start(self, node: str) -> int:
        """Mount a root file system and start a process in it."""
        place = self._root / node
        for part in ("upper", "work", "root"):
            (place / part).mkdir(parents=True)
        (place / "config.json").write_text(json.dumps(self._spec))
        layers = f"lowerdir={self._image.rootfs},upperdir={place / 'upper'},workdir={place / 'work'}"
        _run("mount", "-t", "overlay", "-o", layers, "bench", str(place / "root"))
        argv = [self._runtime, "--root", str(self._root / _STATE), "run", "--detach"]
        # The container keeps its standard output open: a pipe would not end.
        _run(*argv, "--bundle", str(place), "--pid-file", str(place / "pid"), node, into=place / "log")
        return int((place / "pid").read_text())

    def remove(self, nodes: Sequence[str]) -> None:
        """Delete containers, unmount their root file systems and remove their directories."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._remove, [self._root / node for node in nodes]))

    def close(self) -> None:
        """Remove the directory of all nodes."""
        self._clear(self._root)

    def _clear(self, root: Path) -> None:
        for place in root.iterdir():
            if (place / "root").is_dir():
                self._remove(place)
        shutil.rmtree(root)

    def _remove(self, place: Path) -> None:
        _run(self._runtime, "--root", str(place.parent / _STATE), "delete", "--force", place.name)
        if (place / "root").is_mount():
            _run("umount", str(place / "root"))
        if place.exists():
            shutil.rmtree(place)


BARE: Final[Mapping[str, type[BareDocker] | type[BareRuntime]]] = {"docker": BareDocker, "crun": BareRuntime}
"""The baseline of each engine."""


def _link(pids: Sequence[int], number: int) -> str:
    here, there = pids[number], pids[(number + 1) % len(pids)]
    return f"link add eth1 netns {here} type veth peer name eth2 netns {there}\n"


def _address(pid: int, number: int, count: int) -> None:
    lines = [
        f"{what} {interface}\n"
        for interface, link in (("eth1", number), ("eth2", (number - 1) % count))
        for what in (
            f"addr add {address(link, 1 if interface == 'eth1' else 2)} dev",
            "link set up dev",
        )
    ]
    _run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-", text="".join(lines))


def _run(*argv: str, text: str = "", at: Path | None = None, into: Path | None = None) -> str:
    """Run a command and return its output, which is discarded if it went into a file."""
    with (into or Path(os.devnull)).open("w+") as file:
        output = file if into else subprocess.PIPE
        try:
            done = subprocess.run(argv, check=True, stdout=output, stderr=output, text=True, input=text, cwd=at)
        except FileNotFoundError as error:
            raise EnvironmentBroken(
                f"{argv[0]} not found: install it, because the bench compares labs with what it does alone"
            ) from error
        except subprocess.CalledProcessError as error:
            why = (error.stderr or (into.read_text() if into else "")).strip()
            raise EnvironmentBroken(f"`{' '.join(argv[:3])}` failed: {why}") from error
    return (done.stdout or "").strip()
