"""The questions of an import, and the files that it leaves out."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.importer import Import, import_hosts, parse_hosts, write_import

Importing = Callable[..., Import]


def test_missing_client_options_are_asked_for_with_their_line(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "server.conf").write_text(
        "dev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\nclient-config-dir /etc/openvpn/ccd\n"
    )
    made = importing(hq=tmp_path / "hq")
    (question,) = made.questions
    assert str(question) == "hq: /etc/openvpn/ccd (client-config-dir, hq/server.conf:4) is not among the files"
    (tmp_path / "hq" / "ccd").mkdir()
    assert not importing(hq=tmp_path / "hq").questions


def test_missing_keys_are_no_question(importing: Importing) -> None:
    assert not importing("hub", "north").questions


def test_equally_good_servers_are_asked_for(importing: Importing, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "server.conf").write_text("dev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\n")
    (tmp_path / "branch").mkdir()
    (tmp_path / "branch" / "client.conf").write_text("client\ndev tun\nremote 203.0.113.1\nca ca.crt\n")
    directories = {name: tmp_path / name for name in ("one", "two", "branch")}
    asked = importing(**directories)
    assert [str(q).partition(":")[0] for q in asked.questions] == ["branch"]
    assert "may lead to one (one/server.conf), two (two/server.conf)" in asked.questions[0].text
    assumed = importing(**directories, assume=True)
    assert assumed.tunnels[0].server == "one (one/server.conf)"
    assert any("assumed: it leads to one" in note.text for note in assumed.notes)


def test_address_of_an_interface_of_ospf_is_asked_for(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "frr.conf").write_text("interface eth5\n ip ospf area 0\nrouter ospf\n")
    made = importing(hq=tmp_path / "hq")
    assert "the address of eth5, on which ospf runs (hq/frr.conf:2)" in made.questions[0].text
    assert "hq:eth5" in importing(hq=tmp_path / "hq", assume=True).files[0].text


def test_router_without_files_is_asked_for(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "birch").mkdir()
    (tmp_path / "birch" / "alder.conf").write_text(
        "dev tun\nport 51901\nremote alder.example.net 51902\nifconfig 172.20.202.1 172.20.101.1\nsecret k 1\n"
    )
    made = importing("alder", birch=tmp_path / "birch")
    assert "no routing daemon's files, and birch is a neighbour of alder (alder/etc/frr/frr.conf:5)" in str(
        made.questions[0]
    )


def test_directory_without_configurations_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no file below .* is a configuration"):
        import_hosts({"hq": tmp_path / "empty"}, tmp_path / "x.clab.yml")
    with pytest.raises(InputError, match="is not a directory"):
        import_hosts({"hq": tmp_path / "none"}, tmp_path / "x.clab.yml")


def test_pipes_sockets_large_and_binary_files_are_left_out(importing: Importing, tmp_path: Path) -> None:
    hq = tmp_path / "hq"
    hq.mkdir()
    (hq / "server.conf").write_text("dev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\n")
    os.mkfifo(hq / "fifo.conf")
    with socket.socket(socket.AF_UNIX) as listener:
        monitor = hq / "s"
        listener.bind(str(monitor)) if len(str(monitor)) < 100 else None
        (hq / "core").write_bytes(b"dev tun\0remote x")
        (hq / "large.conf").write_text("remote 192.0.2.1\ndev tun\n" * 400_000)
        made = importing(hq=hq)
    assert made.processes == ("hq (hq/server.conf)",)
    left_out = [note.text for note in made.notes if note.text.startswith("left out")]
    assert any("fifo.conf: not a regular file" in text for text in left_out)
    assert any("large.conf: longer than" in text for text in left_out)


def test_symbolic_links_out_of_the_directory_are_not_read(importing: Importing, tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.conf"
    secret.write_text("client\ndev tun\nremote 203.0.113.99\nca ca\n")
    hq = tmp_path / "hq"
    (hq / "server").mkdir(parents=True)
    (hq / "server.conf").write_text("dev tun\nserver 10.8.0.0 255.255.255.0\nca ca.crt\nclient-config-dir ../ccd\n")
    (tmp_path / "ccd").mkdir()
    (hq / "client.conf").symlink_to(secret)
    (hq / "more").symlink_to(tmp_path)
    made = importing(hq=hq)
    assert made.processes == ("hq (hq/server.conf)",)
    assert "203.0.113.99" not in made.files[0].text
    assert "is not among the files" in made.questions[0].text


def test_file_that_openvpn_refuses_is_asked_for(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "a.conf").write_text("dev tun\nremote 192.0.2.1\nca ca\n")
    (tmp_path / "hq" / "b.conf").write_text("dev tun\nremote 192.0.2.1\n<ca>\n")
    made = importing(hq=tmp_path / "hq")
    assert "hq/b.conf:3: <ca> is not closed" in made.questions[0].text


def test_too_many_files_are_refused(importing: Importing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.importer.walk.MAX_FILES", 3)
    with pytest.raises(InputError, match="has more than 3 files"):
        importing("hub")


def test_existing_output_is_kept_without_force(importing: Importing, tmp_path: Path) -> None:
    made = importing("hub", "north")
    (tmp_path / "mine.clab.yml").write_text("mine")
    with pytest.raises(InputError, match=r"mine\.clab\.yml exists"):
        write_import(made)
    assert (tmp_path / "mine.clab.yml").read_text() == "mine"
    assert not (tmp_path / "mine").exists()
    write_import(made, force=True)
    assert (tmp_path / "mine.clab.yml").read_text() == made.files[0].text


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hq", "write HOST=DIR"),
        ("hq=", "write HOST=DIR"),
        ("h q=x", "cannot name a host"),
        ("internet=x", "is the node between the hosts"),
    ],
)
def test_wrong_arguments_are_refused(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_hosts([argument])
    with pytest.raises(InputError, match="given twice"):
        parse_hosts(["hq=a", "hq=b"])


def test_name_of_the_output_names_the_lab(importing: Importing) -> None:
    with pytest.raises(InputError, match=r"ends with \.clab\.yml"):
        importing("hub", out="mine.yml")
    with pytest.raises(InputError, match="cannot name a lab"):
        importing("hub", out="my lab.clab.yml")


def test_ten_thousand_neighbours_and_networks_are_imported_in_part(importing: Importing, tmp_path: Path) -> None:
    hq = tmp_path / "hq"
    hq.mkdir()
    addresses = [f"192.168.{n // 250}.{n % 250 + 1}" for n in range(10_000)]
    lines = ["router bgp 65001", *(f" neighbor {address} remote-as 65002" for address in addresses)]
    lines += [f" network 10.{n // 250}.{n % 250}.0/24" for n in range(10_000)]
    (hq / "frr.conf").write_text("\n".join(lines))
    made = importing(hq=hq)
    texts = [note.text for note in made.notes]
    assert any("and 9997 more: no file tells where they are" in text for text in texts)
    assert any("a host has 4 LANs in the lab at most" in text for text in texts)
    assert len(made.files[0].text) < 10_000


def test_too_many_processes_are_refused(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    for number in range(101):
        (tmp_path / "hq" / f"{number}.conf").write_text(f"dev tun{number}\nremote 192.0.2.1\nca ca\n")
    with pytest.raises(InputError, match="more than 100 configurations of OpenVPN"):
        importing(hq=tmp_path / "hq")


def test_host_can_have_the_name_of_a_made_node(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hub-lan").mkdir()
    (tmp_path / "hub-lan" / "a.conf").write_text("client\ndev tun\nremote 203.0.113.10\nca ca\n")
    made = importing("hub", **{"hub-lan": tmp_path / "hub-lan"})
    assert "hub-lan2" in made.files[0].text
    assert made.hosts == ("hub", "hub-lan")
