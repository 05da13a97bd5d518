"""Find a Docker engine that answers, or install and start one."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bootstrap import packages
from bootstrap.packages import Privileges
from lab.core.errors import EnvironmentBroken
from lab.core.progress import Say
from lab.host import docker_engine
from lab.host.docker_engine import DEFAULT_HOST, answers, endpoint, is_absent, refuse_remote

START_PATIENCE = 60
"""Seconds from an engine's start to its first answer."""

PACKAGES = ("docker.io", "ca-certificates")


def prepare_docker(say: Say) -> None:
    """Make sure that an engine answers: find it, else install Debian's `docker.io` (and say so), and start it.

    Raises `EnvironmentBroken` with one sentence if that is forbidden (`LAB_NO_INSTALL=1`), impossible or fails.
    """
    host = endpoint()
    if refusal := refuse_remote(host):
        raise EnvironmentBroken(refusal)
    if is_absent(host):
        if host != DEFAULT_HOST:
            # Starting another engine than the one the user names would not help.
            raise EnvironmentBroken(f"no Docker engine answers at DOCKER_HOST={host}: start it, or unset DOCKER_HOST")
        privileges = Privileges.here()
        if not _dockerd():
            packages.install(PACKAGES, "for a Docker engine", say, privileges)
        # Debian's package may have started it.
        if is_absent(host):
            _start(privileges, host, say)
    client = docker_engine.connect()
    say(f"{docker_engine.product(client.version())} answers at {host}")
    client.close()


def _start(privileges: Privileges, host: str, say: Say) -> None:
    if not (privileges.root or privileges.sudo):
        raise EnvironmentBroken("the Docker engine is installed but does not run: start it as root, `dockerd`")
    if _runs_systemd():
        say("starting the Docker engine with systemctl")
        _systemctl_start(privileges)
        _wait_for_answer(host, lambda: True, "systemctl status docker")
        return
    log = _log_file(privileges)
    say(f"starting the Docker engine (no init system runs here); its log is {log}")
    _remove_leftovers(privileges)
    pid = _spawn(privileges, log, [])
    try:
        _wait_for_answer(host, lambda: name_of(pid) is not None, str(log))
    except EnvironmentBroken:
        if name_of(pid) or not _network_failed(log):
            raise
        # The lab links its nodes itself, so an engine without a network of its own is enough.
        say("this kernel lacks what Docker's own bridge needs: starting the engine without it")
        pid = _spawn(privileges, log, ["--bridge=none", "--iptables=false", "--ip6tables=false"])
        _wait_for_answer(host, lambda: name_of(pid) is not None, str(log))


def _runs_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _systemctl_start(privileges: Privileges) -> None:
    done = subprocess.run(
        privileges.as_root(["systemctl", "start", "docker"]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise EnvironmentBroken(f"`systemctl start docker` failed: {_one_line(done.stderr)}")


def _spawn(privileges: Privileges, log: Path, options: list[str]) -> int:
    """Start dockerd in a session of its own, so that it outlives this process and its terminal; return its pid."""
    script = 'log=$0; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
    # Without /usr/sbin on PATH, dockerd would not find iptables.
    path = f"PATH={os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    dockerd = _dockerd()
    if dockerd is None:
        raise EnvironmentBroken("docker.io is installed without a dockerd: install a Docker engine")
    argv = privileges.as_root(["env", path, "sh", "-c", script, str(log), dockerd, *options])
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        raise EnvironmentBroken(f"dockerd cannot be started: {_one_line(done.stderr)}")
    return int(done.stdout)


def _remove_leftovers(privileges: Privileges) -> None:
    """Remove pid files and sockets of a dead engine, which a new one would take for a running one."""
    if files := leftovers():
        subprocess.run(privileges.as_root(["rm", "-f", *map(str, files)]), check=True)
    if not Path("/sys/fs/cgroup").is_mount():
        subprocess.run(privileges.as_root(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"]), check=False)


def leftovers(run: Path = Path("/run"), proc: Path = Path("/proc")) -> list[Path]:
    """Return the pid files and sockets below `run` whose process has ended; those of a running engine stay."""
    pid_files = {run / "docker.pid": "dockerd", run / "docker/containerd/containerd.pid": "containerd"}
    found = [path for path, name in pid_files.items() if path.exists() and not is_pid_of(path, name, proc)]
    containerd = run / "containerd/containerd.sock"
    if containerd.exists() and is_absent(f"unix://{containerd}"):
        found.append(containerd)
    return found


def is_pid_of(pid_file: Path, name: str, proc: Path = Path("/proc")) -> bool:
    """Return whether a pid file names a running process of that name."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return False
    return name_of(pid, proc) == name


def name_of(pid: int, proc: Path = Path("/proc")) -> str | None:
    """Return the name of a running process, or None.

    In many containers no process reaps orphans, and ended ones stay listed as zombies: those do not count as running.
    """
    try:
        before, _, after = (proc / str(pid) / "stat").read_text().rpartition(")")
    except OSError:
        return None
    return None if after.split()[0] == "Z" else before.partition("(")[2]


def _wait_for_answer(host: str, is_running: Callable[[], bool], where: str) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while not answers(host):
        if not is_running():
            raise EnvironmentBroken(f"the Docker engine ended while it started: read {where}")
        if time.monotonic() > deadline:
            raise EnvironmentBroken(f"the Docker engine did not answer within {START_PATIENCE} s: see {where}")
        time.sleep(0.1)


def _dockerd() -> str | None:
    # In Debian a user's PATH has no sbin.
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def _network_failed(log: Path) -> bool:
    text = log.read_text(errors="replace")[-8000:].lower()
    return "network controller" in text or "iptables" in text


def _log_file(privileges: Privileges) -> Path:
    if privileges.root:
        return Path("/var/log/openvpn-routing-lab-dockerd.log")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "openvpn-routing-lab"
    state.mkdir(parents=True, exist_ok=True)
    return state / "dockerd.log"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300] or "no reason given"
