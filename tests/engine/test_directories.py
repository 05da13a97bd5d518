"""Concurrent labs below one `.lab` directory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from lab.runtime.store import LabDirectory
from lab.topology import Node, Topology


def topology(name: str) -> Topology:
    return Topology(name=name, file=Path("x.clab.yml"), nodes={"one": Node(name="one", kind="linux", image="i")})


@pytest.mark.parametrize("turns", [100])
def test_concurrent_labs_create_and_remove_the_home_directory(tmp_path: Path, turns: int) -> None:
    """The last lab removes `.lab` while the next one is being created there."""
    both = Barrier(2)

    def live(name: str) -> None:
        directory = LabDirectory(tmp_path / ".lab" / name)
        try:
            for _ in range(turns):
                both.wait(30)
                directory.create(topology(name))
                assert directory.nodes == {"one"}
                assert (tmp_path / ".lab" / ".gitignore").exists()
                directory.remove()
        except BaseException:
            both.abort()
            raise

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(live, name) for name in ("first", "second")]:
            future.result()
    assert not (tmp_path / ".lab").exists()
