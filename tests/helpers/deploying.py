"""A process that deploys a lab and prints its progress: `python -m tests.helpers.deploying TOPOLOGY NAME [OWNED]`.

It prints each step, `up` when the lab is up, and then waits for the end of its standard input.
"""

import sys

from lab.catalogue import load
from lab.core.errors import LabError
from lab.core.process import this_process
from lab.runtime.lab import Lab


def main(topology: str, name: str, owned: str = "") -> int:
    """Deploy a lab and wait."""
    try:
        lab = Lab.deploy(
            load(topology, name=name),
            say=lambda step: print(step, flush=True),
            owner=this_process() if owned else "",
        )
    except LabError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return error.exit_code
    with lab:
        print("up", flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
