"""Translated configurations are valid for the programs that they are for."""

from pathlib import Path

import pytest

from lab.configs.forms import form_of
from lab.configs.translated import Kind, TranslatedFile
from lab.image import VERSIONS
from tests.helpers.parser import MAIN, verdicts, verdicts_of_frr

pytestmark = pytest.mark.docker

DATA = Path(__file__).parents[1] / "data" / "configs"
SYSTEMS = ("openwrt", "vyos", "pfsense", "opnsense")


def translated(kind: Kind) -> dict[str, TranslatedFile]:
    """Return all files of a kind that the samples stand for."""
    found = {}
    for sample in sorted(file for system in SYSTEMS for file in (DATA / system).iterdir()):
        text = sample.read_text()
        if form := form_of(text):
            for file in form.translate(text, sample.name).files:
                if file.kind == kind:
                    found[f"{sample.parent.name}/{sample.name}: {file.path}"] = file
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_openvpn_parses_each_translated_configuration(version: str) -> None:
    files = translated("openvpn")
    # OpenVPN looks for scripts while it parses.
    texts = [file.text.replace("/etc/openvpn/up.sh", "/bin/true") for file in files.values()]
    found = verdicts(version, [{MAIN: text.encode()} for text in texts])
    refused = {name: verdict.output for name, verdict in zip(files, found, strict=True) if not verdict.accepted}
    assert len(files) >= 9
    assert not refused
    broken = texts[-1] + "no-such-option\n"
    assert not verdicts(version, [{MAIN: broken.encode()}])[0].accepted


def test_frr_parses_each_translated_configuration() -> None:
    files = translated("frr")
    found = verdicts_of_frr(VERSIONS[0], [{MAIN: file.text.encode()} for file in files.values()])
    refused = {name: verdict.output for name, verdict in zip(files, found, strict=True) if not verdict.accepted}
    assert len(files) >= 3
    assert not refused
    broken = next(iter(files.values())).text + "no such line\n"
    assert not verdicts_of_frr(VERSIONS[0], [{MAIN: broken.encode()}])[0].accepted
