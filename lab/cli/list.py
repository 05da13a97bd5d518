"""`lab list`: the labs on this host."""

import sys

from lab.cli.options import AsJson
from lab.cli.output import print_json, print_table


def list_(as_json: AsJson = False) -> None:
    """List the labs on this host."""
    from lab.engine import all_engines
    from lab.status.labs import summaries

    labs = [summary for engine in all_engines() for summary in summaries(engine)]
    if as_json:
        print_json(labs)
    elif not labs:
        print("no lab is running", file=sys.stderr)
    else:
        rows = [
            (s.name, s.engine, f"{s.nodes_running}/{s.nodes_total}", s.topology or "its directory is gone", s.directory)
            for s in sorted(labs, key=lambda lab: lab.name)
        ]
        print_table("Labs", ["name", "engine", "#nodes running", "topology", "directory"], rows)
