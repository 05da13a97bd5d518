"""`lab vm`: the virtual machine with a kernel of its own, for what the host's kernel lacks."""

import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.output import progress
from lab.core.errors import EnvironmentBroken, InputError

if TYPE_CHECKING:
    from lab.vm import Machine

app = typer.Typer(help="A virtual machine with a kernel of its own, for what this one lacks.", no_args_is_help=True)

_ESCAPE = b"\x1d"
"""Ctrl-], as in telnet."""
_LOOK = 0.2


@app.command()
def up() -> None:
    """Boot a machine and leave it running; tests that need its kernel use it from then on."""
    from lab.vm.machine import KEPT, Machine

    with progress() as say:
        Machine.boot(KEPT, Path.cwd(), say=say)
    print("the machine is up: `lab vm run -- COMMAND`, `lab vm shell`, `lab vm down`; `make test-kernel` uses it")


@app.command()
def down() -> None:
    """End this directory's machine, and those that ended processes have left."""
    from lab.vm.machine import KEPT, machines, sweep_machines

    swept = sweep_machines()
    ours = [machine for machine in machines() if machine.name == KEPT and machine.project == Path.cwd()]
    for machine in ours:
        machine.close()
    if not swept and not ours:
        print("no machine runs that sees this directory")
    for name in [*swept, *(machine.name for machine in ours)]:
        print(f"the machine {name} is down")


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="A program and its arguments.")],
) -> None:
    """Run a command in the machine, in this directory; for example `lab vm run -- .venv/bin/lab modes`.

    The exit code is the command's. What it writes below the project is kept in `.lab` only, and ends with the machine.
    """
    from lab.vm.relay import script

    machine = _kept()
    if machine.busy:
        raise InputError("the machine runs another job: wait for its end, or `lab vm down`")
    argv = [str(Path.cwd() / command[0]) if "/" in command[0] else command[0], *command[1:]]
    machine.begin(script(Path.cwd(), argv), apart=True)
    raise typer.Exit(_followed(machine))


@app.command()
def shell() -> None:
    """Open a shell in the machine; Ctrl-] leaves it."""
    machine = _kept()
    if not sys.stdin.isatty():
        raise InputError("a shell wants a terminal: `lab vm run -- COMMAND` does not")
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(machine.directory / "shell.sock"))
        except OSError as error:
            raise EnvironmentBroken(f"the machine's shell does not answer: {error.strerror}") from error
        print("a shell of the machine; Ctrl-] leaves it\r")
        line.sendall(b"\n")
        before = termios.tcgetattr(0)
        tty.setraw(0)
        try:
            _talk(line)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
    print()


def _talk(line: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([0, line.fileno()], [], [])
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed or _ESCAPE in typed:
                return
            line.sendall(typed)
        if line.fileno() in ready:
            said = line.recv(4096)
            if not said:
                return
            os.write(1, said)


def _kept() -> "Machine":
    from lab.vm.machine import kept

    machine = kept(Path.cwd())
    if machine is None:
        raise InputError("no machine runs that sees this directory: `lab vm up` boots one")
    return machine


def _followed(machine: "Machine") -> int:
    """Print what a job prints until it ends; returns its exit code. Ctrl-C ends the machine's job with the machine."""
    read = dict.fromkeys(("output.log", "errors.log"), 0)
    try:
        while True:
            code = machine.ended()
            for name, stream in (("output.log", sys.stdout), ("errors.log", sys.stderr)):
                file = machine.directory / name
                if file.exists():
                    with file.open("rb") as written:
                        written.seek(read[name])
                        data = written.read()
                    read[name] += len(data)
                    stream.buffer.write(data)
                    stream.flush()
            if code is not None:
                return code
            if not machine.running:
                raise EnvironmentBroken(f"the machine ended; {machine.last_words()}")
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        machine.close()
        print("the machine was ended with its job", file=sys.stderr)
        raise
