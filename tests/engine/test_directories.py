"""Directories of labs side by side below one `.lab`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from lab.runtime.store import LabDirectory
from lab.topology import Node, Topology


def topology(name: str) -> Topology:
    return Topology(name=name, file=Path("x.clab.yml"), nodes={"one": Node(name="one", kind="linux", image="i")})


@pytest.mark.parametrize("turns", [100])
def test_labs_come_and_go_side_by_side(tmp_path: Path, turns: int) -> None:
    """The last lab takes `.lab` with it while the next one is just arriving there."""
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
