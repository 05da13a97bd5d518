"""`lab vm`: a virtual machine with its own kernel, for features that the host's kernel lacks."""

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
    from lab.vm import VirtualMachine

app = typer.Typer(
    name="vm",
    help="A virtual machine with its own kernel, for features that the host's kernel lacks.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

_ESCAPE = b"\x1d"
"""Ctrl-], as in telnet."""
_LOOK = 0.2


@app.command()
def up() -> None:
    """Boot a virtual machine and keep it running; tests that need its kernel then run in it."""
    from lab.vm.virtual_machine import KEPT, VirtualMachine

    with progress() as say:
        VirtualMachine.boot(KEPT, Path.cwd(), say=say)
    print("the virtual machine is up: `lab vm run -- COMMAND`, `lab vm shell`, `lab vm down`; tests use it")


@app.command()
def down() -> None:
    """End this directory's virtual machine, and those whose owner has ended."""
    from lab.vm.virtual_machine import KEPT, sweep_virtual_machines, virtual_machines

    swept = sweep_virtual_machines()
    ours = [machine for machine in virtual_machines() if machine.name == KEPT and machine.project == Path.cwd()]
    for machine in ours:
        machine.close()
    if not swept and not ours:
        print("no virtual machine runs for this directory")
    for name in [*swept, *(machine.name for machine in ours)]:
        print(f"the virtual machine {name} is down")


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="A program and its arguments.")],
) -> None:
    """Run a command in the virtual machine, in this directory, e.g. `lab vm run -- .venv/bin/lab modes`.

    The exit code is the command's. In the project only `.lab` is writable, and its content is lost with the VM.
    """
    from lab.vm.relay import script

    machine = _kept()
    if machine.busy:
        raise InputError("the virtual machine runs another job: wait until it ends, or run `lab vm down`")
    argv = [str(Path.cwd() / command[0]) if "/" in command[0] else command[0], *command[1:]]
    machine.begin(script(Path.cwd(), argv), separate_stderr=True)
    raise typer.Exit(_follow(machine))


@app.command()
def shell() -> None:
    """Open a shell in the virtual machine; Ctrl-] leaves it."""
    machine = _kept()
    if not sys.stdin.isatty():
        raise InputError("`lab vm shell` needs a terminal: use `lab vm run -- COMMAND`")
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(machine.directory / "shell.sock"))
        except OSError as error:
            raise EnvironmentBroken(f"the virtual machine's shell does not answer: {error.strerror}") from error
        print("shell of the virtual machine; Ctrl-] leaves it\r")
        line.sendall(b"\n")
        before = termios.tcgetattr(0)
        tty.setraw(0)
        try:
            _copy_terminal(line)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
    print()


def _copy_terminal(line: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([0, line.fileno()], [], [])
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed or _ESCAPE in typed:
                return
            line.sendall(typed)
        if line.fileno() in ready:
            printed = line.recv(4096)
            if not printed:
                return
            os.write(1, printed)


def _kept() -> "VirtualMachine":
    from lab.vm.virtual_machine import kept

    machine = kept(Path.cwd())
    if machine is None:
        raise InputError("no virtual machine runs for this directory: `lab vm up` boots one")
    return machine


def _follow(machine: "VirtualMachine") -> int:
    """Print a job's output until it ends; return its exit code. Ctrl-C ends the virtual machine with its job."""
    read = dict.fromkeys(("output.log", "errors.log"), 0)
    try:
        while True:
            code = machine.exit_code()
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
                raise EnvironmentBroken(f"the virtual machine ended; {machine.describe_console()}")
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        machine.close()
        print("the virtual machine and its job were ended", file=sys.stderr)
        raise
