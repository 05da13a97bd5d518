"""How hosts start OpenVPN: units, drop-ins, AUTOSTART."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from lab.configs.disk import Disk
from lab.configs.openvpn.units import Start, starts
from lab.own.hostfiles import HostFiles

OFFICE = PurePosixPath("/etc/openvpn/office.conf")
SERVER = PurePosixPath("/etc/openvpn/server/hub.conf")
CLIENT = PurePosixPath("/etc/openvpn/client/home.conf")
WANTS = "etc/systemd/system/multi-user.target.wants"


def start(root: Path, path: PurePosixPath) -> Start:
    (found,) = starts(HostFiles(root=root), [path])
    (same,) = starts(Disk(root), [path])
    assert replace(found, before=(), after=()) == replace(same, before=(), after=())
    assert found.arguments == same.arguments
    return found


def put(root: Path, name: str, text: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_without_files_of_systemd_it_is_unknown_what_is_started(tmp_path: Path) -> None:
    assert str(start(tmp_path, SERVER)) == (
        "/etc/openvpn/server/hub.conf is taken as started by openvpn-server@hub.service: "
        "the links of /etc/systemd/system/*.wants are not among the files"
    )


def test_link_of_a_unit_starts_it_even_if_it_leads_out_of_the_copy(tmp_path: Path) -> None:
    (tmp_path / WANTS).mkdir(parents=True)
    (tmp_path / WANTS / "openvpn-server@hub.service").symlink_to("/lib/systemd/system/openvpn-server@.service")
    assert start(tmp_path, SERVER).started is True
    other = start(tmp_path, SERVER.with_name("old.conf"))
    assert other.started is False
    assert str(other) == (
        "/etc/openvpn/server/old.conf is not started: "
        "no link to openvpn-server@old.service in /etc/systemd/system/*.wants"
    )


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("", True),
        ("#AUTOSTART=none\n", True),
        ('AUTOSTART=""\n', True),
        ("AUTOSTART=all\n", True),
        ('AUTOSTART="none"\n', False),
        ("AUTOSTART='home office'\n", True),
        ('AUTOSTART="home"\n', False),
        ('AUTOSTART="office"\nAUTOSTART="none"\n', False),
    ],
)
def test_autostart_names_what_debian_starts(text: str, started: bool, tmp_path: Path) -> None:
    put(tmp_path, "etc/default/openvpn", text)
    assert start(tmp_path, OFFICE).started is started
    assert start(tmp_path, SERVER).started is None


def test_enabled_unit_is_started_whatever_autostart_says(tmp_path: Path) -> None:
    put(tmp_path, "etc/default/openvpn", "AUTOSTART=none\n")
    put(tmp_path, f"{WANTS}/openvpn@office.service")
    assert start(tmp_path, OFFICE).started is True


def test_openvpn_service_starts_all_of_etc_openvpn(tmp_path: Path) -> None:
    put(tmp_path, f"{WANTS}/openvpn.service")
    assert start(tmp_path, OFFICE).started is True
    assert start(tmp_path, SERVER).started is False


def test_unit_of_a_client_gives_nobind(tmp_path: Path) -> None:
    found = start(tmp_path, CLIENT)
    assert found.arguments == ("--nobind",)
    assert found.directory == PurePosixPath("/etc/openvpn/client")
    assert "openvpn-client@home.service, with --nobind: " in str(found)
    assert start(tmp_path, SERVER).arguments == ()


def test_drop_in_replaces_the_command_and_the_directory(tmp_path: Path) -> None:
    put(tmp_path, f"{WANTS}/openvpn-server@hub.service")
    put(
        tmp_path,
        "usr/lib/systemd/system/openvpn-server@.service",
        "[Service]\nWorkingDirectory=/etc/openvpn/server\n"
        "ExecStart=/usr/sbin/openvpn --status %t/x.log --status-version 2 --cipher AES-256-GCM --config %i.conf\n",
    )
    assert start(tmp_path, SERVER).arguments == ("--cipher", "AES-256-GCM")
    put(
        tmp_path,
        "etc/systemd/system/openvpn-server@hub.service.d/override.conf",
        "[Service]\n# a comment = no setting\nWorkingDirectory=/srv/vpn\nExecStart=\n"
        "ExecStart=/usr/sbin/openvpn --suppress-timestamps --config %i.conf \\\n  --port 443 --verb 4\n",
    )
    found = start(tmp_path, SERVER)
    assert found.arguments == ("--port", "443", "--verb", "4")
    assert ([str(d) for d in found.before], [str(d) for d in found.after]) == ([], ["port 443", "verb 4"])
    assert str(found.after[1].spot) == "etc/systemd/system/openvpn-server@hub.service.d/override.conf:5"
    assert found.directory == PurePosixPath("/srv/vpn")
    assert start(tmp_path, SERVER.with_name("b.conf")).arguments == ("--cipher", "AES-256-GCM")


def test_configurations_elsewhere_have_no_unit(tmp_path: Path) -> None:
    paths = map(PurePosixPath, ("/etc/openvpn/ccd/a.conf", "/root/a.conf", "/etc/openvpn/a.ovpn"))
    assert starts(Disk(tmp_path), paths) == []


def test_arguments_before_the_file_are_kept_apart(tmp_path: Path) -> None:
    (option,) = start(tmp_path, CLIENT).before
    assert (str(option), str(option.spot)) == ("nobind", "openvpn-client@.service")


def test_variables_of_a_unit_are_expanded(tmp_path: Path) -> None:
    put(tmp_path, "etc/default/openvpn", 'OPTARGS="--port 443 --verb 4"\nOTHER=5 # six\n')
    put(
        tmp_path,
        "etc/systemd/system/openvpn@.service",
        "[Service]\nEnvironment='MARK=7' X=8\nEnvironmentFile=-/etc/default/openvpn\n"
        "ExecStart=/usr/sbin/openvpn --mark ${MARK} --config /etc/openvpn/%i.conf $OPTARGS $NONE --ping ${OTHER}\n",
    )
    found = start(tmp_path, OFFICE)
    assert [str(d) for d in found.before] == ["mark 7"]
    assert [str(d) for d in found.after] == ["port 443", "verb 4", "ping 5"]


def test_optargs_are_for_hosts_without_systemd(tmp_path: Path) -> None:
    put(tmp_path, "etc/default/openvpn", "AUTOSTART=all\n# OPTARGS=--verb 9\nOPTARGS='--port 443'\n")
    assert start(tmp_path, OFFICE).arguments == ()
    put(tmp_path, "etc/init.d/openvpn", "#!/bin/sh\n")
    found = start(tmp_path, OFFICE)
    assert [(str(d), str(d.spot)) for d in found.before] == [("port 443", "etc/default/openvpn:3")]
    assert found.unit == "/etc/init.d/openvpn"
    put(tmp_path, f"{WANTS}/openvpn.service")
    assert start(tmp_path, OFFICE).arguments == ()
