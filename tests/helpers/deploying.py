"""A process that deploys a lab and says what it is doing: `python -m tests.helpers.deploying TOPOLOGY NAME [OWNED]`.

It prints each step as it begins, `up` when the lab stands, then waits for its standard input to end and closes.
"""

import sys

from lab.catalogue import load
from lab.core.errors import LabError
from lab.core.process import this_process
from lab.runtime.lab import Lab


def main(topology: str, name: str, owned: str = "") -> int:
    """Deploy, and wait."""
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
