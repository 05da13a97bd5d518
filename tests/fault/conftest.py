"""The article's two sites, and what all tests of faults ask."""

import os
import subprocess
import sys

import pytest

from lab.runtime.lab import Lab
from tests.convergence.conftest import Site


@pytest.fixture
def hq(lab: Lab) -> Site:
    """The site with the OpenVPN server."""
    return Site(lab.router("hq"), lab.host("hq-lan"), lab.tunnel("branch", "hq").device("hq"))


@pytest.fixture
def branch(lab: Lab) -> Site:
    """The site with the OpenVPN client."""
    return Site(lab.router("branch"), lab.host("branch-lan"), lab.tunnel("branch", "hq").device("branch"))


def elsewhere(lab: Lab, statement: str) -> "subprocess.Popen[str]":
    """Another process that attaches to the same lab, does something with it, says so, and then waits for its end."""
    program = f"""
        from lab.runtime.lab import Lab
        with Lab.attach({lab.name!r}) as lab:
            {statement}
            print("done", flush=True)
            input()
    """
    code = "\n".join(line[8:] for line in program.splitlines())
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process
