"""A shell script in a node of its own."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab.core.process import this_process
from lab.engine import ExecResult, open_engine
from lab.image import NODE_IMAGE
from lab.runtime.lab import Lab
from tests.helpers.labs import new_name, topology


def run_script(version: str, script: str, files: Mapping[str, bytes] | None = None) -> ExecResult:
    """Run a script in a node of an OpenVPN version, with files in its directory `/files`."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for path, content in {**(files or {}), "script": script.encode()}.items():
            file = directory / "files" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        node = f"{{image: '{NODE_IMAGE}:{version}', binds: ['files:/files']}}"
        lab = Lab.deploy(
            topology(directory, new_name(), f"nodes: {{one: {node}}}"),
            engine=open_engine(),
            directory=directory / "lab",
            owner=this_process(),
        )
        try:
            return lab.node("one").exec("sh", "/files/script")
        finally:
            lab.destroy()
