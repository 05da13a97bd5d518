"""The example for Slurm in docs/howto/grow.md: the batch script that dask-jobqueue makes of it."""

import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab.cluster.certificates import write_certificates
from lab.cluster.resource import BLOCK
from tests.helpers import pages


def example() -> str:
    (block,) = [b for b in pages.blocks() if b.page == "docs/howto/grow.md" and b.language == "py"]
    return block.text


def test_batch_script_starts_a_worker_with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_certificates(tmp_path / "certs")
    found: dict[str, Any] = {}
    source = example().replace("cluster.scale(3)\n", "")
    assert source != example()
    exec(compile(source, "grow.md", "exec"), found)  # noqa: S102 - the page's own
    try:
        script = found["cluster"].job_script()
        address = found["cluster"].scheduler_address
    finally:
        found["cluster"].close()
    assert "#SBATCH --exclusive" in script.splitlines()
    (line,) = [line for line in script.splitlines() if "dask_worker" in line]
    words = shlex.split(line)
    options = dict(pairwise(words))
    assert address.startswith("tls://")
    assert address in words
    assert options["--resources"] == f"{BLOCK}=1"
    for option, name in (("--tls-ca-file", "ca.pem"), ("--tls-cert", "worker.pem"), ("--tls-key", "worker-key.pem")):
        assert Path(options[option]).read_text() == (tmp_path / "certs" / name).read_text()
