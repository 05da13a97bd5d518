"""The Docker engine of this machine: found, or installed and started.

The lab works in its containers' network namespaces through `/proc`, so an engine on another machine, or in a
virtual machine of its own as Docker Desktop has it, is of no use here and refused.
"""

import errno
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import docker
import requests
from docker.errors import DockerException

from lab.core.errors import EnvironmentBroken
from lab.core.progress import Say
from lab.host import packages
from lab.host.packages import Powers

DEFAULT_HOST = "unix:///var/run/docker.sock"

ANSWER_PATIENCE = 120
"""Seconds that the engine has for one answer: removing many containers at once takes it a while."""

START_PATIENCE = 60
"""Seconds that an engine has from its start to its first answer."""

PACKAGES = ("docker.io", "ca-certificates")

# A ping is the same in every version; naming one spares the question for the version.
_ANY_VERSION = "1.41"


def endpoint(environment: Mapping[str, str] = os.environ) -> str:
    """Where the engine is: `DOCKER_HOST`, or the system's socket."""
    return environment.get("DOCKER_HOST") or DEFAULT_HOST


def connect() -> docker.DockerClient:
    """A client of this machine's engine.

    Raises `EnvironmentBroken` in one line: no engine, no permission, or an engine somewhere else.
    """
    host = endpoint()
    if refusal := refuse_remote(host):
        raise EnvironmentBroken(refusal)
    try:
        # The SDK hides the reason of a failed connection in a text; the socket itself says it plainly.
        _knock(host)
        client = docker.from_env(timeout=ANSWER_PATIENCE)
        client.api.trust_env = False  # neither proxies nor .netrc are looked for at each request: it is this machine
        kernel = str(client.info().get("KernelVersion", ""))
    except (OSError, DockerException, requests.RequestException) as error:
        raise translate(host, error) from error
    if refusal := refuse_foreign_kernel(host, kernel, os.uname().release):
        client.close()
        raise EnvironmentBroken(refusal)
    return client


def refuse_remote(host: str) -> str | None:
    """Why an engine at this address cannot serve the lab, or None."""
    url = urlsplit(host)
    if url.scheme == "unix":
        return None
    if url.scheme in ("tcp", "http", "https") and url.hostname in ("localhost", "127.0.0.1", "::1"):
        return None
    return (
        f"DOCKER_HOST={host} is an engine on another machine, whose network namespaces cannot be reached "
        "from here: run the lab on that machine, or unset DOCKER_HOST"
    )


def refuse_foreign_kernel(host: str, engine: str, here: str) -> str | None:
    """Why an engine that runs on the kernel `engine` cannot serve a lab on the kernel `here`, or None."""
    if engine in ("", here):
        return None
    return (
        f"the Docker engine at {host} runs on another kernel ({engine}, here {here}), as Docker Desktop's "
        "does, and its network namespaces cannot be reached from here: use an engine of this machine itself"
    )


def translate(host: str, error: Exception) -> EnvironmentBroken:
    """Why no engine answers, in one line with what to do."""
    number = _errno(error)
    if number in (errno.EACCES, errno.EPERM):
        user = os.environ.get("USER") or f"with uid {os.geteuid()}"
        return EnvironmentBroken(
            f"user {user} may not use the Docker engine at {host}: "
            f"use sudo, or `sudo adduser {user} docker` and log in again"
        )
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ENOTSOCK):
        return EnvironmentBroken(
            f"no Docker engine answers at {host}: run `make lab-up` as root, which installs and starts one, "
            "or install docker.io and start it"
        )
    return EnvironmentBroken(f"the Docker engine at {host} does not answer as it should: {_one_line(error)}")


def prepare(say: Say) -> None:
    """Have an engine that answers: find it, else install Debian's `docker.io` (and say so), and start it.

    Raises `EnvironmentBroken` in one line when that is forbidden (`LAB_NO_INSTALL=1`), impossible or fails.
    """
    host = endpoint()
    if refusal := refuse_remote(host):
        raise EnvironmentBroken(refusal)
    if _absent(host):
        if host != DEFAULT_HOST:
            # Whoever names an engine wants that one: starting another would serve nobody.
            raise EnvironmentBroken(f"no Docker engine answers at DOCKER_HOST={host}: start it, or unset DOCKER_HOST")
        powers = Powers.here()
        if not _dockerd():
            packages.install(PACKAGES, "for a Docker engine", say, powers)
        # Debian's package may have started it by itself.
        if _absent(host):
            _start(powers, host, say)
    client = connect()
    say(f"Docker {client.version()['Version']} answers at {host}")
    client.close()


def _start(powers: Powers, host: str, say: Say) -> None:
    if not (powers.root or powers.sudo):
        raise EnvironmentBroken("the Docker engine is installed but does not run: start it as root, `dockerd`")
    if _runs_systemd():
        say("starting the Docker engine with systemctl")
        _systemctl_start(powers)
        _await_answer(host, lambda: True, "systemctl status docker")
        return
    log = _log_file(powers)
    say(f"starting the Docker engine (no init system runs here); its log is {log}")
    _clear_the_way(powers)
    pid = _spawn(powers, log, [])
    try:
        _await_answer(host, lambda: living(pid) is not None, str(log))
    except EnvironmentBroken:
        if living(pid) or not _network_failed(log):
            raise
        # The lab wires its nodes itself, so an engine without a network of its own does.
        say("this kernel lacks what Docker's own bridge needs: starting the engine without it")
        pid = _spawn(powers, log, ["--bridge=none", "--iptables=false", "--ip6tables=false"])
        _await_answer(host, lambda: living(pid) is not None, str(log))


def _runs_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _systemctl_start(powers: Powers) -> None:
    done = subprocess.run(
        powers.as_root(["systemctl", "start", "docker"]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise EnvironmentBroken(f"`systemctl start docker` failed: {_one_line(done.stderr)}")


def _spawn(powers: Powers, log: Path, options: list[str]) -> int:
    """Start dockerd in a session of its own, so that it outlives this process and its terminal; its pid."""
    script = 'log=$0; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
    # As root without PATH's /usr/sbin, dockerd would not find iptables.
    path = f"PATH={os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    dockerd = _dockerd()
    if dockerd is None:
        raise EnvironmentBroken("docker.io is installed, but there is no dockerd in it: install a Docker engine")
    argv = powers.as_root(["env", path, "sh", "-c", script, str(log), dockerd, *options])
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        raise EnvironmentBroken(f"dockerd cannot be started: {_one_line(done.stderr)}")
    return int(done.stdout)


def _clear_the_way(powers: Powers) -> None:
    """Put away what a dead engine left behind, which a new one would take for a living one."""
    leftovers = [
        path
        for path, name in (
            (Path("/run/docker.pid"), "dockerd"),
            (Path("/run/docker/containerd/containerd.pid"), "containerd"),
        )
        if path.exists() and not is_pid_of(path, name)
    ]
    containerd = Path("/run/containerd/containerd.sock")
    if containerd.exists() and _absent(f"unix://{containerd}"):
        leftovers.append(containerd)
    if leftovers:
        subprocess.run(powers.as_root(["rm", "-f", *map(str, leftovers)]), check=True)
    if not Path("/sys/fs/cgroup").is_mount():
        subprocess.run(powers.as_root(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]), check=False)


def is_pid_of(pid_file: Path, name: str, proc: Path = Path("/proc")) -> bool:
    """Whether the process that a pid file names lives and is the one of that name."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return False
    return living(pid, proc) == name


def living(pid: int, proc: Path = Path("/proc")) -> str | None:
    """The name of a process that lives, or None.

    Where nothing reaps orphans, as in many containers, the dead stay listed as zombies: those do not live.
    """
    try:
        before, _, after = (proc / str(pid) / "stat").read_text().rpartition(")")
    except OSError:
        return None
    return None if after.split()[0] == "Z" else before.partition("(")[2]


def _await_answer(host: str, alive: Callable[[], bool], where: str) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while not _answers(host):
        if not alive():
            raise EnvironmentBroken(f"the Docker engine ended while it started: read {where}")
        if time.monotonic() > deadline:
            raise EnvironmentBroken(f"the Docker engine did not answer within {START_PATIENCE} s: see {where}")
        time.sleep(0.1)


def _absent(host: str) -> bool:
    """Whether nobody listens there. A listener that does not let us in is present."""
    try:
        _knock(host)
    except PermissionError:
        return False
    except OSError:
        return True
    return False


def _answers(host: str) -> bool:
    """Whether the engine does its work: its socket is there long before, also when the start then fails."""
    try:
        _knock(host)
        return bool(docker.APIClient(base_url=host, version=_ANY_VERSION, timeout=5).ping())
    except PermissionError:
        return True  # it is up, and `connect` will say who may not use it
    except (OSError, DockerException, requests.RequestException):
        return False


def _knock(host: str) -> None:
    url = urlsplit(host)
    if url.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(url.path)
    else:
        socket.create_connection((url.hostname, url.port or 2375), timeout=5).close()


def _dockerd() -> str | None:
    # A user's PATH has no sbin in Debian.
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def _network_failed(log: Path) -> bool:
    text = log.read_text(errors="replace")[-8000:].lower()
    return "network controller" in text or "iptables" in text


def _log_file(powers: Powers) -> Path:
    if powers.root:
        return Path("/var/log/openvpn-routing-lab-dockerd.log")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "openvpn-routing-lab"
    state.mkdir(parents=True, exist_ok=True)
    return state / "dockerd.log"


def _errno(error: BaseException | None) -> int | None:
    """The system's error number at the bottom of a chain of exceptions."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300] or "no reason given"
