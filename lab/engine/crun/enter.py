"""Run commands inside nodes: a small process of its own, which only the standard library is loaded into.

A process can enter another mount namespace only while it has one thread (setns(2)), and forks fast while it is small.
So each process of the lab starts one of these when it first needs it, as `python -I -S enter.py FD`, and this one ends
with it. `lab.engine.crun.commands` sends requests through the socket FD, each with the three standard streams of the
command and a socket for the result.

A command gets what the runtime would give to it: namespaces, control groups, user, capabilities, filter of system
calls. Its privileges are those of the node before it can be seen inside.
"""

import array
import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import warnings  # noqa: F401 - os.execvpe imports it, and inside a node Python's library is out of reach
from contextlib import suppress
from typing import Any, NoReturn

MESSAGE = 1 << 17
"""The longest request."""
STREAMS = 3
_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
"""CLONE_NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET."""
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 4, 24, 38, 22
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 40
_INSTRUCTION = 8
"""The size of a BPF instruction."""
_NOT_FOUND, _NOT_EXECUTABLE, _NOT_ENTERED, _TIMED_OUT = 127, 126, 125, 124

_libc = ctypes.CDLL(None, use_errno=True)


def serve(control: socket.socket) -> None:
    """Serve requests until the other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is meant for the lab
    _prctl(_PR_SET_DUMPABLE, 0)
    while True:
        room = socket.CMSG_SPACE((STREAMS + 2) * array.array("i").itemsize)
        data, ancillary, _, _ = control.recvmsg(MESSAGE, room, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        fds = array.array("i")
        for _, _, content in ancillary:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        if os.fork() == 0:
            control.close()
            _run(json.loads(data), *fds)
        for fd in fds:
            os.close(fd)


def _run(request: dict[str, Any], stdin: int, stdout: int, stderr: int, result: int, process: int) -> NoReturn:
    """Run a command in a child of this process, and report its exit code; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    answer = socket.socket(fileno=result)
    try:
        groups = [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in request["groups"]]
        _enter(process, request)
    except OSError as error:
        answer.send(json.dumps({"failed": error.strerror or str(error), "errno": error.errno}).encode())
        os._exit(_NOT_ENTERED)
    child = os.fork()
    if child == 0:
        if request["detach"]:
            # The command becomes a child of the node's first process, which its end is reported to.
            if os.fork() != 0:
                os._exit(0)
            _tell_pid(answer)
        _execute(request, (stdin, stdout, stderr), groups)
    for fd in (stdin, stdout, stderr, *groups):
        os.close(fd)
    code = _wait(child, request["timeout"])
    if not request["detach"]:
        answer.send(json.dumps({"exit": code}).encode())
    os._exit(0)


def _wait(child: int, timeout: float | None) -> int:
    """Wait for the end of a command, which is killed after a time; return its exit code."""
    if timeout is not None and not select.select([os.pidfd_open(child)], [], [], timeout)[0]:
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)  # the command has a session of its own
        return _TIMED_OUT
    return _code(os.waitpid(child, 0)[1])


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _enter(process: int, request: dict[str, Any]) -> None:
    """Enter the namespaces of a process and take on the privileges of a node; children are inside."""
    if _libc.setns(process, _NAMESPACES) != 0:
        raise _error("setns")
    os.umask(0o022)
    os.setgroups(request["additional"])
    keep = request["capabilities"]
    for capability in range(_LAST_CAPABILITY + 1):
        dropped = keep >> capability & 1 or _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
        if not dropped and ctypes.get_errno() != errno.EINVAL:  # EINVAL: this kernel does not know the capability
            raise _error("prctl")
    if request["no_new_privileges"]:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if request["filter"]:
        _filter(bytes.fromhex(request["filter"]))
    os.setgid(request["gid"])
    os.setuid(request["uid"])
    _set_capabilities(keep if request["uid"] == 0 else 0)
    _prctl(_PR_SET_DUMPABLE, 0)  # setuid(2) may have changed it


def _execute(request: dict[str, Any], streams: tuple[int, int, int], groups: list[int]) -> NoReturn:
    try:
        for group in groups:
            os.write(group, b"0")
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        # Python ignores two of them, and a process that a shell or nohup(1) starts in the background the others.
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        # The thread that started the parent may block signals.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        environment = dict(line.partition("=")[::2] for line in request["environment"])
        os.chdir(request["directory"])
        os.execvpe(request["argv"][0], request["argv"], environment)  # noqa: S606 - no shell is meant
    except OSError as error:
        os.write(2, f"{request['argv'][0]}: {error.strerror}\n".encode())
        os._exit(_NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE)


def _tell_pid(answer: socket.socket) -> None:
    """Send this process's id in the words of the receiver, who is in another PID namespace (unix(7))."""
    ids = struct.pack("=iII", os.getpid(), os.getuid(), os.getgid())
    answer.sendmsg([b"{}"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, ids)])


def _set_capabilities(mask: int) -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("=IIIIII", low, low, 0, high, high, 0)
    if _libc.capset(header, data) != 0:
        raise _error("capset")


def _filter(program: bytes) -> None:
    """Install a filter of system calls (seccomp(2)); needs CAP_SYS_ADMIN, or no new privileges."""
    instructions = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // _INSTRUCTION, ctypes.addressof(instructions))
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, fprog, 0, 0) != 0:
        raise _error("seccomp")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise _error("prctl")


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
