"""Processor time of the `lab` commands, as a ratio to a baseline: the imports that every command needs.

The commands and the baseline are run in turn, because hosts are shared and their speed drifts.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.bench.figure import Figure
from lab.catalogue import load
from lab.core.errors import EnvironmentBroken
from lab.core.process import this_process
from lab.core.progress import Say
from lab.engine import open_engine
from lab.runtime.lab import Lab

_PROGRAM = Path(sys.executable).with_name("lab")
_BASELINE = "import typer, pydantic"
_NAME = "bench-commands"
_IN_A_LAB = (f"--lab={_NAME}",)
_PREFIX = "203.0.113.0/24"

COMMANDS: Mapping[str, Sequence[str]] = {
    "--help": ("--help",),
    "--version": ("--version",),
    "completion": (),
    "status": ("status", *_IN_A_LAB),
    "routes": ("routes", "branch", *_IN_A_LAB),
    "announce": ("announce", "hq", _PREFIX, *_IN_A_LAB),
    "withdraw": ("withdraw", "hq", _PREFIX, *_IN_A_LAB),
    "exec": ("exec", *_IN_A_LAB, "branch", "--", "true"),
    "down": ("down", "bench-absent"),
}
"""The measured commands and their arguments, in the order in which they run."""
WITHOUT_A_LAB = ("--help", "--version", "completion")
_ENVIRONMENT: Mapping[str, Mapping[str, str]] = {
    "completion": {"_LAB_COMPLETE": "complete_bash", "COMP_WORDS": "lab ", "COMP_CWORD": "1"},
}
_CODES = {"down": (0, 2)}
"""Accepted exit codes of the commands that may end with another one than 0."""


def commands(*, trials: int, say: Say) -> list[Figure]:
    """Run each command once per trial, after a warm-up trial; return the ratios of processor time to the baseline."""
    say("deploying a lab for the commands")
    lab = Lab.deploy(load("article", name=_NAME), engine=open_engine(), owner=this_process())
    ratios: dict[str, list[float]] = {name: [] for name in COMMANDS}
    baselines = []
    try:
        for trial in range(trials + 1):
            say("warming up the commands" if trial == 0 else f"commands, trial {trial} of {trials}")
            baseline = processor_time([sys.executable, "-c", _BASELINE], {}, (0,))
            times = {name: _command(name) for name in COMMANDS}
            if trial:
                baselines.append(baseline)
                for name, seconds in times.items():
                    ratios[name].append(seconds / baseline)
    finally:
        lab.destroy()
    return [
        Figure(f"baseline, processor time of `python -c '{_BASELINE}'`", "s", tuple(baselines), ""),
        *(
            Figure(
                f"{_label(name)}, ratio to the baseline",
                "",
                tuple(ratios[name]),
                "at most 1" if name in WITHOUT_A_LAB else "at most 2.5",
            )
            for name in COMMANDS
        ),
    ]


def _label(name: str) -> str:
    return f"`lab {name}`" if COMMANDS[name] else f"{name} of `lab`"


def _command(name: str) -> float:
    return processor_time([os.fspath(_PROGRAM), *COMMANDS[name]], _ENVIRONMENT.get(name, {}), _CODES.get(name, (0,)))


def processor_time(argv: Sequence[str], environment: Mapping[str, str], codes: Sequence[int]) -> float:
    """Run a program and return the processor time of it and its children in seconds."""
    with subprocess.Popen(
        argv,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        raise EnvironmentBroken(f"`{' '.join(argv)}` ended with {process.returncode}: run it to see why")
    return usage.ru_utime + usage.ru_stime
