"""Other processes that use a lab of the test."""

import os
import subprocess
import sys

from lab.runtime.lab import Lab


def elsewhere(lab: Lab, statement: str) -> "subprocess.Popen[str]":
    """Start a process that attaches to the lab, executes a statement, prints `done` and waits for its input to end."""
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
