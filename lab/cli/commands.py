"""The commands of `lab` by name: where each is defined, and its line in `lab --help`.

The table is static, so that help and completion import no command. `tests/unit/cli/test_app.py` compares it with the
docstrings.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One command or group of commands."""

    panel: str
    """Heading in `lab --help`."""
    where: str
    """`MODULE:OBJECT` in `lab.cli`; the object is a function, or a `typer.Typer` with commands of its own."""
    summary: str
    """First sentence of the command's help."""
    passes_options: bool = False
    """True if options that the command does not know belong to its arguments."""


_LAB = "Labs"
_WATCH = "Watch"
_CHANGE = "Change"
_FILES = "Topologies and files"
_MEASURE = "Measure"
_HOST = "Host"

COMMANDS: Mapping[str, Entry] = {
    "up": Entry(
        _LAB,
        "up:up",
        "Deploy a topology, and show its status.",
    ),
    "down": Entry(_LAB, "down:down", "Take labs down: containers, links and files."),
    "list": Entry(_LAB, "list:list_", "List the labs on this host."),
    "status": Entry(_LAB, "status:status", "Show nodes, tunnels and sessions; the exit code is 1 if one is down."),
    "watch": Entry(_WATCH, "watch:watch", "Watch tunnels, sessions, prefixes and routes until Ctrl-C."),
    "routes": Entry(_WATCH, "routes:routes", "Show the RIB and the kernel's FIB of one node or of all routers."),
    "logs": Entry(_WATCH, "logs:logs", "Show the logs of a node, and the output of its container."),
    "capture": Entry(_WATCH, "capture:capture", "Capture packets until Ctrl-C; without -w, print a line for each."),
    "check": Entry(
        _WATCH,
        "check:check",
        "Check what a lab should do: tunnels, sessions, routes, packets, before and after faults.",
    ),
    "claims": Entry(
        _WATCH, "claims:claims", "Test every claim on real packets, and print verdict, condition and evidence of each."
    ),
    "modes": Entry(
        _WATCH,
        "modes:modes",
        "Compare the tunnel modes and kernel tunnels: what they forward, throughput, start and memory.",
    ),
    "why": Entry(
        _WATCH,
        "why:why",
        "Send packets, follow them through the lab, and name the cause if they are lost; the exit code is then 1.",
    ),
    "announce": Entry(_CHANGE, "announce:announce", "Originate prefixes on a router, or change their attributes."),
    "withdraw": Entry(_CHANGE, "withdraw:withdraw", "Stop originating prefixes on a router."),
    "exec": Entry(_CHANGE, "exec:exec_", "Run a command in a node, with its own input, output and exit code.", True),
    "shell": Entry(_CHANGE, "shell:shell", "Open a shell in a node."),
    "impair": Entry(_CHANGE, "impair:impair", "Delay, lose, duplicate, reorder or slow down packets on a link."),
    "fault": Entry(_CHANGE, "fault:app", "Apply faults to a running lab, and undo them."),
    "new": Entry(
        _FILES,
        "new:app",
        "Write a topology to start from: two sites, a hub, a mesh, a chain, a ring, two providers.",
    ),
    "validate": Entry(_FILES, "validate:validate", "Check topology files and list all mistakes with line and column."),
    "inventory": Entry(
        _FILES,
        "inventory:inventory",
        "Print the nodes of a lab as an inventory for Ansible or nornir, as containerlab does.",
    ),
    "graph": Entry(_FILES, "graph:graph", "Draw a topology: nodes, links, addresses and tunnels."),
    "render": Entry(
        _FILES, "render:render", "Write all configurations, keys and scripts for real hosts; start nothing."
    ),
    "import": Entry(_FILES, "import_:import_", "Make a topology of the files that were copied from hosts."),
    "schema": Entry(
        _FILES,
        "schema:schema",
        "Print the JSON Schema (draft-07) of topology or checks files, with which an editor completes and checks them.",
    ),
    "advise": Entry(
        _FILES,
        "advise:advise",
        "Report the silent failures that a topology, or configuration files, are exposed to.",
    ),
    "measure": Entry(
        _MEASURE,
        "measure:measure",
        "Measure convergence: cause events over tunnels and baselines, and record the time of each stage.",
    ),
    "report": Entry(
        _MEASURE,
        "report:report",
        "Make a page of a run with its figures and tables, or of the differences of two runs that exceed the noise.",
    ),
    "scale": Entry(
        _MEASURE,
        "scale:scale",
        "Send large tables over a tunnel and the bare wire, and show the times, the costs and the bottleneck.",
    ),
    "cluster": Entry(
        _MEASURE,
        "cluster:app",
        "Certificates and processes of a cluster, on which `lab measure --cluster` runs.",
    ),
    "doctor": Entry(
        _HOST,
        "doctor:doctor",
        "Check this host for what the lab needs; the exit code is 1 if a lab cannot run on it.",
    ),
    "setup": Entry(
        _HOST,
        "setup:setup",
        "Build the images of the nodes, unless they exist.",
    ),
    "bench": Entry(
        _HOST,
        "bench:bench",
        "Measure the cost of commands, engines and labs, the error of the instrument, and the tunnel.",
    ),
    "clean": Entry(
        _HOST,
        "clean:clean",
        "Take down all labs, and remove the lab's images.",
    ),
    "vm": Entry(
        _HOST,
        "vm:app",
        "A virtual machine with its own kernel, for features that the host's kernel lacks.",
    ),
}
