"""Temporary network namespaces, for tests that need a kernel but no engine."""

import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from pyroute2 import IPRoute

from lab.engine import Namespace


class Sandbox:
    """A child process in a network namespace of its own, with `lo` only."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdout.readline() != b"ready\n":
            why = self._process.stderr.read().decode().strip()
            self.close()
            pytest.skip(f"unshare --net: {why}")
        self.namespace = Namespace(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, and thereby its namespace."""
        self._process.communicate(timeout=10)

    @property
    def pid(self) -> int:
        """Return the pid of the process in the namespace."""
        return self._process.pid

    def links(self) -> dict[str, Any]:
        """Return the interfaces by name."""
        links = self.namespace.run(lambda: self._ask("get_links"))
        return {link.get_attr("IFLA_IFNAME"): link for link in links}

    def addresses(self, interface: str) -> dict[str, int]:
        """Return the addresses of an interface with their flags."""
        index = self.links()[interface]["index"]
        found = self.namespace.run(lambda: self._ask("get_addr", index=index))
        return {f"{a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}": a.get_attr("IFA_FLAGS") for a in found}

    def ip(self, *calls: tuple[str, str, dict[str, Any]]) -> None:
        """Call pyroute2 with (object, verb, arguments) in order; `dev` is an interface's name."""

        def work() -> None:
            with IPRoute() as ip:
                for what, verb, arguments in calls:
                    asked = dict(arguments)
                    if "dev" in asked:
                        index = "ifindex" if what == "neigh" else "index"
                        asked[index] = ip.link_lookup(ifname=asked.pop("dev"))[0]
                    getattr(ip, what)(verb, **asked)

        self.namespace.run(work)

    def let_ping(self) -> None:
        """Allow ping sockets, like the lab's nodes."""
        self.sysctl("ipv4/ping_group_range", "0 2147483647")

    def sysctl(self, key: str, value: str) -> None:
        """Set a sysctl below /proc/sys/net."""
        self.namespace.run(lambda: (Path("/proc/sys/net") / key).write_text(value))

    def _ask(self, question: str, **arguments: Any) -> list[Any]:
        with IPRoute() as ip:
            return list(getattr(ip, question)(**arguments))


def threads(prefix: str) -> list[str]:
    """Return the running threads whose names begin with a prefix."""
    return [t.name for t in threading.enumerate() if t.name.startswith(prefix)]
