"""The packages that make the base image are installed only if they are needed."""

import pytest

from bootstrap import base_image, packages
from lab.core.errors import EnvironmentBroken
from lab.image import ToolsMissing


def test_base_image_is_made_again_after_its_tools_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def ensure_base(client: object, say: object) -> None:
        steps.append("make")
        if len(steps) == 1:
            raise ToolsMissing

    monkeypatch.setattr(base_image, "ensure_base", ensure_base)
    monkeypatch.setattr(packages, "install", lambda names, purpose, say: steps.append(f"install {' '.join(names)}"))
    base_image.prepare_base_image(lambda _: None)
    assert steps == ["make", "install mmdebstrap debian-archive-keyring", "make"]


def test_other_errors_install_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure_base(client: object, say: object) -> None:
        raise EnvironmentBroken("the disk is full")

    monkeypatch.setattr(base_image, "ensure_base", ensure_base)
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("nothing may be installed"))
    with pytest.raises(EnvironmentBroken, match="the disk is full"):
        base_image.prepare_base_image(lambda _: None)
