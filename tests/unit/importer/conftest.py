"""The sample directories of hosts, copied to a directory of the test's own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.importer import Import, import_hosts

HOSTS = Path(__file__).parents[2] / "data" / "hosts"


@pytest.fixture
def importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Import]:
    """Import samples by name, or directories of the test's own: `importing("hub", "north", south="openwrt")`."""
    monkeypatch.chdir(tmp_path)

    def run(*samples: str, assume: bool = False, out: str = "mine.clab.yml", **named: str | Path) -> Import:
        chosen: dict[str, str | Path] = {**{name: name for name in samples}, **named}
        directories = {}
        for name, sample in chosen.items():
            directory = Path(sample)
            if isinstance(sample, str):
                directory = tmp_path / name
                shutil.copytree(HOSTS / sample, directory, dirs_exist_ok=True)
            directories[name] = directory
        return import_hosts(directories, tmp_path / out, assume=assume)

    return run
