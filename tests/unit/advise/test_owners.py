"""The end of a tunnel that the configuration of a routing daemon belongs to, by what the user's files show."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.advise import subjects_of_files

SERVER = "dev tun0\nserver 10.8.0.0 255.255.255.0\nca ca.crt\ncert s.crt\nkey s.key\ndh none\n"
CLIENT = "client\ndev tun0\nremote 198.51.100.1\nca ca.crt\ncert c.crt\nkey c.key\n"
NAMED = "router bgp 65002\n neighbor 10.8.0.1 remote-as 65001\n"
OF_CLIENTS = "router bgp 65001\n neighbor 10.8.0.2 remote-as 65002\n"
ANY = "router bgp 65001\n neighbor SITES peer-group\n neighbor SITES remote-as 65002\n"
DYNAMIC = ANY + " bgp listen range 10.8.0.0/24 peer-group SITES\n"
ELSEWHERE = "router bgp 65001\n neighbor 192.0.2.9 remote-as 65009\n"
OSPF = "interface tun0\n ip ospf area 0\nexit\nrouter ospf\n"


def owners(directory: Path, files: Mapping[str, str]) -> tuple[str, str]:
    """Return the daemon's file at the server and at the client, of files by their names; empty if there is none."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subjects = {s.end.role: s for s in subjects_of_files([directory / name for name in files])}
    found = [subjects[role].router for role in ("server", "client")]
    return tuple(str(Path(router.name).relative_to(directory)) if router else "" for router in found)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (OF_CLIENTS, NAMED, ("one.conf", "other.conf")),
        (NAMED, OF_CLIENTS, ("other.conf", "one.conf")),
        (DYNAMIC, NAMED, ("one.conf", "other.conf")),
        (ELSEWHERE, NAMED, ("", "other.conf")),  # nothing of it runs across the tunnel
        (OSPF, NAMED, ("one.conf", "other.conf")),
        (OSPF, OSPF, ("", "")),
        (DYNAMIC, DYNAMIC, ("", "")),
    ],
)
def test_neighbours_show_the_end_and_the_other_one_follows(
    tmp_path: Path, one: str, other: str, expected: tuple[str, str]
) -> None:
    files = {"server.conf": SERVER, "client.conf": CLIENT, "one.conf": one, "other.conf": other}
    assert owners(tmp_path, files) == expected


def test_directories_show_the_end_of_daemons_without_named_neighbours(tmp_path: Path) -> None:
    names = {"server": "hub/etc/frr/frr.conf", "client": "north/etc/frr/frr.conf"}
    files = {"hub/etc/openvpn/a.conf": SERVER, "north/etc/openvpn/b.conf": CLIENT} | dict.fromkeys(names.values(), OSPF)
    assert owners(tmp_path, files) == (names["server"], names["client"])


def test_neighbours_count_more_than_directories(tmp_path: Path) -> None:
    files = {"hub/a.conf": SERVER, "north/b.conf": CLIENT, "hub/frr.conf": NAMED, "north/frr.conf": OF_CLIENTS}
    assert owners(tmp_path, files) == ("north/frr.conf", "hub/frr.conf")


@pytest.mark.parametrize(("directory", "expected"), [("hub", ("hub/frr.conf", "")), (".", ("", ""))])
def test_one_router_without_named_neighbours_needs_a_directory(
    tmp_path: Path, directory: str, expected: tuple[str, str]
) -> None:
    files = {"hub/a.conf": SERVER, "north/b.conf": CLIENT, f"{directory}/frr.conf": OSPF}
    assert owners(tmp_path, files) == expected


def test_end_without_a_file_of_a_daemon_is_named(tmp_path: Path) -> None:
    owners(tmp_path, {"hub/a.conf": SERVER, "north/b.conf": CLIENT, "hub/frr.conf": OSPF})
    subjects = subjects_of_files([tmp_path / name for name in ("hub/a.conf", "north/b.conf", "hub/frr.conf")])
    assert [s.no_router for s in subjects] == ["", "no frr.conf or bird.conf was given for this end"]
