"""Drafts of OpenVPN processes from files that a test writes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lab.configs.openvpn.configuration import parse
from lab.own.draft import Draft
from lab.own.reading import RecordedFiles
from lab.topology.intent import OpenVpnIntent
from lab.topology.model import Place
from lab.topology.source import Key

IMAGE = "openvpn-routing-lab/node:2.6"


def draft(
    directory: Path,
    node: str,
    config: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    file: str = "office",
    image: str = IMAGE,
) -> Draft:
    """Return the draft of `NODE/etc/openvpn/FILE.conf` with its text and other files of /etc/openvpn."""
    home = directory / node / "etc" / "openvpn"
    home.mkdir(parents=True, exist_ok=True)
    (home / f"{file}.conf").write_text(config)
    for name, content in (files or {}).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    given = f"{node}/etc/openvpn/{file}.conf"
    disk = RecordedFiles.of(given, directory)
    configuration = parse(disk.text(disk.path), disk.path, disk)
    place = Key(Place(directory / "lab.clab.yml", 1, 1), ())
    disk = replace(disk, read=list(disk.read))
    return Draft(
        node,
        f"{node}-{file}",
        OpenVpnIntent(config=given),
        place,
        image,
        disk,
        replace(configuration, disk=disk),
        tuple(disk.read),
    )
