"""Cycles of `lab up` and `lab down`, some killed at a random moment: is anything left after each?

    python -m tests.helpers.cycles --engine crun --count 1000 --seed 1

Each cycle deploys a lab of two nodes and takes it down. In every second cycle, on average, one of the two commands is
killed by SIGKILL at a random moment and the lab then taken down again. It ends with exit code 1 at the first thing that
is left: a process, a mount, a control group, a container, a directory, or an ordinary user's holder of namespaces.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_TOPOLOGY = """\
name: {name}
topology:
  defaults: {{kind: linux, image: "openvpn-routing-lab/node:2.6", network-mode: none}}
  nodes: {{one: {{}}, two: {{}}}}
  links: [{{endpoints: ["one:eth1", "two:eth1"], ipv4: [192.0.2.1/30, 192.0.2.2/30]}}]
"""
_PATIENCE = 120
_GROUPS = Path("/sys/fs/cgroup")


@dataclass
class Cycles:
    """The cycles of one lab."""

    engine: str
    chance: random.Random
    directory: Path
    name: str = field(default_factory=lambda: f"cycle-{os.getpid()}")
    took: dict[str, float] = field(default_factory=lambda: {"up": 0.5, "down": 0.5})
    """The seconds that each command took when it was last undisturbed."""
    killed: int = 0

    def run(self, count: int) -> list[str]:
        """Run the cycles; return what the first one with leftovers has left."""
        (self.directory / f"{self.name}.clab.yml").write_text(_TOPOLOGY.format(name=self.name))
        for number in range(1, count + 1):
            disturbed = self.chance.choice(("up", "down", "", ""))
            for command in ("up", "down"):
                self._command(command, kill=command == disturbed)
            if disturbed:
                self._command("down", kill=False)
            if left := list(self.left()):
                return [f"cycle {number}, `lab {disturbed or 'down'}` killed: {thing}" for thing in left]
            if number % 50 == 0:
                print(f"{number} of {count} cycles, {self.killed} of them killed: nothing left", flush=True)
        return []

    def _command(self, command: str, *, kill: bool) -> None:
        argv = {"up": ["up", f"{self.name}.clab.yml", "--engine", self.engine], "down": ["down", self.name]}[command]
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "lab.cli", *argv],
            cwd=self.directory,
            env={**os.environ, "LAB_ENGINE": self.engine},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                process.wait(self.chance.uniform(0, self.took[command]) if kill else _PATIENCE)
            except subprocess.TimeoutExpired:
                if not kill:
                    raise
                process.kill()
                self.killed += 1
        if not kill:
            self.took[command] = time.monotonic() - began

    def left(self) -> Iterator[str]:
        """Yield what is left of the lab."""
        mine = f"clab-{self.name}-"
        yield from map(str, self.directory.glob(".lab/*"))
        runtime = _runtime()
        yield from map(str, (runtime / "nodes").glob(f"*{mine}*"))
        # Control groups of other labs may vanish meanwhile, which os.walk ignores.
        yield from (f"{at}/{name}" for at, names, _ in os.walk(_GROUPS) for name in names if mine in name)
        yield from (line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mine in line)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (mine in (known := _known_of(entry)) or _is_of_a_user_namespace(entry)):
                yield f"process {entry.name}: {known[:100]}"
        if self.engine == "docker":
            argv = ["docker", "ps", "--all", "--quiet", "--filter", f"name={mine}"]
            yield from subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def _runtime() -> Path:
    """Return the lab's runtime directory, without creating it (`lab.core.places`)."""
    if os.geteuid() == 0:
        return Path("/run/openvpn-routing-lab")
    own = os.environ.get("XDG_RUNTIME_DIR")
    return (
        Path(own, "openvpn-routing-lab") if own else Path(tempfile.gettempdir(), f"openvpn-routing-lab-{os.getuid()}")
    )


def _known_of(process: Path) -> str:
    """Return a process's arguments and the mounts of its namespace; empty if it has ended, or is another user's."""
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        mounts = (process / "mountinfo").read_text()
        return "" if state in "ZX" else (process / "cmdline").read_text().replace("\0", " ") + mounts
    except OSError:
        return ""


def _is_of_a_user_namespace(process: Path) -> bool:
    """Return True for an ordinary user's process in a namespace of the user's, as the holder is."""
    try:
        ended = (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        own, other = (Path(f"{each}/ns/user").readlink() for each in ("/proc/self", process))
    except OSError:  # it has ended, or is another user's
        return False
    return os.geteuid() != 0 and not ended and own != other


def main() -> int:
    """Run the cycles that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.cycles", description=__doc__)
    parser.add_argument("--engine", default="crun", choices=("docker", "crun"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cycles-") as directory:
        cycles = Cycles(asked.engine, random.Random(asked.seed), Path(directory))
        began = time.monotonic()
        left = cycles.run(asked.count)
    for thing in left:
        print(thing, file=sys.stderr)
    if not left:
        seconds = time.monotonic() - began
        print(f"{asked.count} cycles in {seconds:.0f} s, {cycles.killed} killed: nothing left", flush=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
