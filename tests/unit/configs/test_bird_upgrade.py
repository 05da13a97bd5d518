"""Configurations of BIRD 1.6 in the syntax of BIRD 2."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.configs import bird
from lab.configs.bird.upgrade import Upgraded, upgrade
from lab.configs.disk import Disk, Unreadable

SAMPLES = Path(__file__).parents[2] / "data" / "configs" / "bird1"


def upgraded(directory: Path, four: str, six: str = "") -> Upgraded:
    (directory / "bird.conf").write_text(four)
    (directory / "bird6.conf").write_text(six)
    return upgrade([(PurePosixPath("/bird.conf"), False), (PurePosixPath("/bird6.conf"), True)], Disk(directory))


def test_options_of_a_channel_move_into_it(tmp_path: Path) -> None:
    text = "protocol bgp hq { local as 65001; neighbor 10.8.0.1 as 65002; next hop self; route limit 10; import all; }"
    assert upgraded(tmp_path, text).text.splitlines() == [
        "protocol bgp hq {",
        "  ipv4 {",
        "    export none;",
        "    next hop self;",
        "    receive limit 10;",
        "    import all;",
        "  };",
        "  local as 65001;",
        "  neighbor 10.8.0.1 as 65002;",
        "}",
    ]


def test_variables_of_a_filter_move_into_its_block(tmp_path: Path) -> None:
    text = (
        "filter f int a; prefix set b; { b = [ 10.0.0.0/8{16,24}, 10.1.0.0/16+ ]; if net ~ b then { accept; } reject; }"
    )
    assert upgraded(tmp_path, text).text.splitlines() == [
        "filter f {",
        "  int a;",
        "  prefix set b;",
        "  b = [10.0.0.0/8{16, 24}, 10.1.0.0/16+];",
        "  if net ~ b then {",
        "    accept;",
        "  }",
        "  reject;",
        "}",
    ]


def test_names_that_both_daemons_use_are_told_apart(tmp_path: Path) -> None:
    four = 'protocol static lan { route 10.1.0.0/24 drop; }\nfilter own { if proto = "lan" then accept; reject; }\n'
    six = four.replace("10.1.0.0/24 drop", "2001:db8:1::/48 reject")
    text = upgraded(tmp_path, four, six).text
    assert "protocol static lan {\n  ipv4;\n  route 10.1.0.0/24 blackhole;\n}" in text
    assert "protocol static lan6 {\n  ipv6;\n  route 2001:db8:1::/48 unreachable;\n}" in text
    assert 'filter own6 {\n  if proto = "lan6" then accept;' in text


def test_options_that_bird_2_lacks_are_noted_with_their_place(tmp_path: Path) -> None:
    found = upgraded(tmp_path, "\nlisten bgp v4only;\nprotocol kernel { device routes; }")
    assert [str(note) for note in found.notes] == [
        f"{tmp_path}/bird.conf:2: BIRD 2 has no 'listen bgp v4only': left out".replace(f"{tmp_path}/", "/"),
        "/bird.conf:3: BIRD 2 has no 'device routes': left out",
    ]


def test_sample_says_the_same_afterwards() -> None:
    disk = Disk(SAMPLES)
    before = bird.facts(bird.read(PurePosixPath("/bird.conf"), disk))
    text = upgrade([(PurePosixPath("/bird.conf"), False)], disk).text
    after = bird.facts(bird.parse(text, "/bird.conf"))
    assert (before.daemon, after.daemon) == ("bird1", "bird2")
    assert [(n.address, n.remote) for n in after.neighbors] == [(n.address, n.remote) for n in before.neighbors]
    assert [o.prefix for o in after.originated] == [o.prefix for o in before.originated]
    assert after.asn == before.asn


WORDS = st.sampled_from(
    [
        "protocol",
        "bgp",
        "filter",
        "f",
        "{",
        "}",
        ";",
        "import",
        "all",
        "[",
        "]",
        "(",
        ")",
        "10.0.0.0/8",
        "from",
        "table",
    ]
)


@given(st.lists(WORDS, max_size=40).map(" ".join))
def test_any_words_end_in_a_configuration_or_a_clear_error(text: str) -> None:
    class Text(Disk):
        def text(self, path: PurePosixPath, limit: int = 0) -> str:
            return text

    try:
        found = upgrade([(PurePosixPath("/bird.conf"), False)], Text())
    except Unreadable:
        return
    assert len(found.lines) == len(found.origins)


@pytest.mark.parametrize("cut", range(0, 700, 70))
def test_cut_files_end_in_a_configuration_or_a_clear_error(tmp_path: Path, cut: int) -> None:
    text = (SAMPLES / "bird.conf").read_text()[:cut]
    try:
        lines = upgraded(tmp_path, text).lines
    except Unreadable as error:
        lines = [str(error)]
    assert all(line.isprintable() for line in lines)
