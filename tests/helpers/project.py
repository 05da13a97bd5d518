"""A project that uses the installed package."""

import os
import textwrap
from pathlib import Path

import pytest

from lab.engine import Engine
from lab.runtime.registry import running_labs
from tests.helpers.labs import PAIR, new_name

TUNNEL = """
    nodes:
      one: {}
      two: {config: {vars: {tunnels: [{to: one}]}}}
    links:
      - {endpoints: ["one:eth1", "two:eth1"], ipv4: [192.0.2.1/30, 192.0.2.2/30]}
"""
"""A tunnel without routing."""

READY = """
    from pathlib import Path

    def pytest_lab_ready(lab):
        with Path("ready.txt").open("a") as file:
            file.write(f"{lab.name} {lab.topology.nodes['one'].image}\\n")
"""


class Project:
    """The project: its files, its test runs, and the labs that they leave."""

    def __init__(self, pytester: pytest.Pytester, engine: Engine) -> None:
        self.pytester = pytester
        self.engine = engine
        self.path = pytester.path
        self.name = new_name()
        """The name of its topology, and the prefix of the names of its labs."""

    def topology(self, body: str = PAIR, file: str = "pair.clab.yml", name: str | None = None) -> Path:
        """Write a topology."""
        head = f"name: {name or self.name}\ntopology:\n"
        head += "  defaults: {kind: linux, image: 'openvpn-routing-lab/node:2.6', network-mode: none}\n"
        path = self.path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + textwrap.indent(textwrap.dedent(body), "  "))
        return path

    def tests(self, source: str, file: str = "test_it.py") -> None:
        """Write a test file."""
        path = self.path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text("import pytest\n" + textwrap.dedent(source))

    def conftest(self, source: str) -> None:
        """Write a conftest.py."""
        (self.path / "conftest.py").write_text(textwrap.dedent(source))

    def run(self, *options: str | os.PathLike[str]) -> pytest.RunResult:
        """Run the tests."""
        return self.pytester.runpytest_subprocess(
            "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options, timeout=120
        )

    def said(self, file: str = "ready.txt") -> list[str]:
        """Return the lines that a hook or a test has written to a file."""
        path = self.path / file
        return path.read_text().splitlines() if path.exists() else []

    @property
    def left(self) -> list[str]:
        """The labs of this project that exist."""
        return [name for name in running_labs(self.engine) if name == self.name or name.startswith(f"{self.name}-")]
