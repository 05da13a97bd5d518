"""The page on files of one's own names what the lab leaves out and replaces."""

from pathlib import Path

import pytest

from lab.configs.openvpn.versions import OTHER_SYSTEMS
from lab.own.overrides import SCRIPTED, WITHOUT

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "own-files.md").read_text()


@pytest.mark.parametrize("option", sorted({*OTHER_SYSTEMS, *SCRIPTED, *WITHOUT}))
def test_page_names_every_option_that_the_lab_overrides(option: str) -> None:
    assert f"`{option}`" in PAGE
