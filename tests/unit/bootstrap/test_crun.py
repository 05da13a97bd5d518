"""Packages that `make` installs for the engine crun, on hosts where installing only records the call."""

import pytest

from bootstrap import crun, packages
from lab.core.errors import EnvironmentBroken
from lab.host import oci_runtime
from lab.image import buildah, store


class Host:
    """A host, and the packages that were installed on it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, has: tuple[str, ...], image: bool) -> None:
        self.has, self.based = set(has), 0
        self.installed: list[str] = []
        monkeypatch.setattr(store, "is_missing", lambda _: not image)
        monkeypatch.setattr(oci_runtime, "is_installed", lambda: "runtime" in self.has)
        monkeypatch.setattr(oci_runtime, "package", lambda: "crun")
        monkeypatch.setattr(oci_runtime, "runtime_version", lambda: "crun 1.21")
        monkeypatch.setattr(buildah, "is_installed", lambda: "buildah" in self.has)
        monkeypatch.setattr(buildah, "ensure_base", self.base)
        monkeypatch.setattr("shutil.which", lambda name: name if name in self.has else None)
        monkeypatch.setattr(packages, "install", lambda names, *_: self.installed.extend(names))

    def base(self, say: object) -> None:
        self.based += 1


@pytest.mark.parametrize(
    ("has", "image", "installed"),
    [
        ((), False, ["crun", "buildah", "mmdebstrap", "debian-archive-keyring"]),
        (("mmdebstrap",), False, ["crun", "buildah"]),
        (("runtime",), False, ["buildah", "mmdebstrap", "debian-archive-keyring"]),
        (("runtime", "buildah"), False, []),
        ((), True, ["crun"]),
        (("runtime",), True, []),
    ],
)
def test_only_what_is_missing_is_installed(
    monkeypatch: pytest.MonkeyPatch, has: tuple[str, ...], image: bool, installed: list[str]
) -> None:
    host = Host(monkeypatch, has=has, image=image)
    said: list[str] = []
    crun.prepare_crun(said.append)
    assert host.installed == installed
    assert said == ["crun 1.21 runs the nodes"]
    assert host.based == (not image)


def test_installation_that_is_forbidden_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise EnvironmentBroken("LAB_NO_INSTALL forbids to install it")

    host = Host(monkeypatch, has=(), image=False)
    monkeypatch.setattr(packages, "install", refuse)
    with pytest.raises(EnvironmentBroken, match="LAB_NO_INSTALL"):
        crun.prepare_crun(lambda _: None)
    assert host.based == 0
