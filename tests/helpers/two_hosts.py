"""Labs of two nodes that run OpenVPN with files that a test writes, as hosts would have them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from lab.catalogue import load
from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.runtime.lab import Lab

_TOPOLOGY = """\
name: {name}
topology:
  kinds:
    linux: {{image: openvpn-routing-lab/node:{version}}}
  nodes:
    hq: {{kind: linux, config: {{vars: {{openvpn: [{{config: hq/etc/openvpn/server.conf}}]}}}}}}
    branch: {{kind: linux, config: {{vars: {{openvpn: [{{config: branch/etc/openvpn/client.conf}}]}}}}}}
  links:
    - {{endpoints: ["hq:eth1", "branch:eth1"], ipv4: [192.0.2.1/24, 192.0.2.2/24]}}
"""
_NUMBER = count(1)


@contextmanager
def two_hosts(
    directory: Path,
    server: str,
    client: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    version: str = "2.7",
    run_scripts: bool = False,
    wait: bool = True,
) -> Iterator[Lab]:
    """Deploy `hq` with its server.conf and `branch` with its client.conf; `files` are more of them, as `hq/etc/…`."""
    everything = {"hq/etc/openvpn/server.conf": server, "branch/etc/openvpn/client.conf": client, **(files or {})}
    for name, content in everything.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if path.suffix == ".sh":
            path.chmod(0o755)
    topology = directory / "hosts.clab.yml"
    topology.write_text(_TOPOLOGY.format(name=f"own-{os.getpid()}-{next(_NUMBER)}", version=version))
    wanted = load(topology, run_scripts=run_scripts)
    lab = Lab.deploy(wanted, directory=directory / "lab", owner=this_process(), wait=wait)
    try:
        yield lab
    finally:
        lab.destroy()


def expect_log(lab: Lab, end: str, text: str) -> None:
    """Expect a line in the log of `server` or `client`."""
    process = getattr(lab.tunnel("branch", "hq"), end)
    wait_for(
        Expectation(
            what=f"{text!r} in the log",
            node=process.node.name,
            look=lambda: process.log_lines(text),
            met=bool,
            logs=process.log,
        ),
        within=60,
    )
