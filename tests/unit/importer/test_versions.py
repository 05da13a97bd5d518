"""The version of OpenVPN that an import chooses, and what it says about old options."""

from collections.abc import Callable
from pathlib import Path

from lab.importer import Import, import_hosts

Importing = Callable[..., Import]


def test_static_key_runs_with_2_6_and_is_refused_by_2_7(importing: Importing) -> None:
    made = importing("alder", "birch")
    assert made.openvpn == "2.6"
    assert "node:${OPENVPN:=2.6}" in made.files[0].text
    refused = [o for o in made.old_options if o.effect == "refused"]
    assert [(o.host, o.place) for o in refused] == [
        ("alder", "alder/etc/openvpn/birch.conf:8"),
        ("birch", "birch/openvpn/alder.conf:8"),
    ]
    assert refused[0].what.startswith("OpenVPN 2.7 refuses 'secret' and ends; 2.6 still accepts it")
    assert any("OpenVPN 2.7 refuses 'secret'" in note.text for note in made.notes)


def test_option_of_2_7_chooses_2_7(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "a.conf").write_text("client\ndev tun\nremote 192.0.2.1\nca ca\ndata-ciphers DEFAULT\n")
    made = importing(hq=tmp_path / "hq")
    assert made.openvpn == "2.7"
    assert [o.what for o in made.old_options] == [
        "OpenVPN 2.6 refuses 'data-ciphers' and ends; 2.7 still accepts it: name the ciphers"
    ]


def test_choice_of_the_user_wins(importing: Importing, tmp_path: Path) -> None:
    importing("alder")
    made = import_hosts({"alder": tmp_path / "alder"}, tmp_path / "x.clab.yml", openvpn="2.7")
    assert made.openvpn == "2.7"
    assert "node:${OPENVPN:=2.7}" in made.files[0].text


def test_option_that_openvpn_does_not_know_is_told_with_its_line(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "a.conf").write_text("client\ndev tun\nremote 192.0.2.1\nca ca\nkeepaliv 10 60\n")
    made = importing(hq=tmp_path / "hq")
    (told,) = made.old_options
    assert (told.host, told.place, told.effect) == ("hq", "hq/a.conf:5", "refused")
    assert told.what.endswith("'keepaliv' is not an option of OpenVPN 2.6; did you mean 'keepalive'?")


def test_generated_file_of_a_firewall_has_notes_about_freebsd(importing: Importing, tmp_path: Path) -> None:
    generated = Path(__file__).parents[2] / "data" / "configs" / "pfsense" / "config.ovpn"
    place = tmp_path / "hq" / "var" / "etc" / "openvpn" / "server1"
    place.mkdir(parents=True)
    (place / "config.ovpn").write_text(generated.read_text())
    made = importing(hq=tmp_path / "hq", assume=True)
    assert any(
        note.text.startswith("hq/var/etc/openvpn/server1/config.ovpn:4: dev-node names a device of FreeBSD")
        for note in made.notes
    )


def test_option_that_both_refuse_chooses_2_5(importing: Importing, tmp_path: Path) -> None:
    (tmp_path / "hq").mkdir()
    (tmp_path / "hq" / "a.conf").write_text("client\ndev tun\nremote 192.0.2.1\nca ca\nkeysize 256\n")
    made = importing(hq=tmp_path / "hq")
    assert made.openvpn == "2.5"
    assert {o.what.partition(";")[0] for o in made.old_options} == {
        "OpenVPN 2.6 refuses 'keysize' and ends",
        "OpenVPN 2.7 refuses 'keysize' and ends",
        "OpenVPN 2.5 accepts 'keysize' with a warning "
        '("--keysize is DEPRECATED and will be removed in OpenVPN 2.6"): remove it: the cipher\'s name has its size',
    }
