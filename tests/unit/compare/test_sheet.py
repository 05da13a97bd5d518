"""The tables of a survey."""

from dataclasses import replace

import pytest

from lab.compare.facts import Disagreement, Mtu, declared_facts, find_disagreements
from lab.compare.memory import Hub, parse_rollup
from lab.compare.sheet import Sheet, markdown, sheets
from lab.compare.survey import Declared, Effort, Host, Measured, MeasuredHub, Survey
from lab.compare.throughput import Direction, Throughput
from lab.tunnel import modes

HOST = Host(kernel="6.18", cpus=2, memory=8 << 30, load=0.5)
RATES: dict[Direction, Throughput] = {
    "to-server": Throughput.of([4e8, 1e8, 4e8], [8e9, 8e9, 8e9]),
    "to-client": Throughput.of([2e8], [4e9]),
}


def measured(mode: str, **more: object) -> Measured:
    row = Measured(
        mode,
        "2.7",
        "udp",
        facts=declared_facts(modes()[mode]),
        throughput=dict(RATES),
        seconds_to_routes=(0.5, 9.0, 0.7),
    )
    return replace(row, **more)  # type: ignore[arg-type]


def survey(*rows: Measured, hubs: tuple[MeasuredHub, ...] = ()) -> Survey:
    said = tuple(map(Declared.of, modes().values()))
    return Survey(HOST, Effort(seconds=2, rounds=3, clients=(1, 8)), said, rows, hubs)


def first_row(found: Survey) -> dict[str, str]:
    sheet = next(sheets(found))
    return dict(zip(sheet.columns, sheet.rows[0].cells, strict=True))


def test_throughput_ratio_is_median_of_ratios_per_round() -> None:
    assert Throughput.of([1.0, 8.0, 3.0], [10.0, 10.0, 4.0]).ratio == 0.75


def test_row_has_units() -> None:
    row = first_row(survey(measured("iroute")))
    assert row["mode"] == "iroute"
    assert (row["needs iroute"], row["clients per process"]) == ("yes", "1")
    assert (row["families routed"], row["multicast"], row["#MTU"]) == ("IPv4, IPv6", "IPv4, IPv6", "1500")
    assert row["#share of bare wire, to server"] == "5.0% (400 Mbit/s)"
    assert row["#share of bare wire, to client"] == "5.0% (200 Mbit/s)"
    assert row["#bare wire, Gbit/s"] == "8.0 / 4.0"
    assert row["#start to routes, s"] == "0.70"


def test_row_shows_declaration_if_the_measurement_differs() -> None:
    seen = replace(declared_facts(modes()["iroute"]), families=("ipv4",), mtu=Mtu(1400, 1400))
    differ = find_disagreements(declared_facts(modes()["iroute"]), seen)
    found = survey(measured("iroute", facts=seen, disagreements=differ), measured("tap"))
    row = first_row(found)
    assert row["families routed"] == "IPv4 (declared: IPv4, IPv6)"
    assert row["#MTU"] == "1400 (declared: 1500)"
    assert [row.good for row in next(sheets(found)).rows] == [False, True]
    assert found.troubles == [
        "iroute, OpenVPN 2.7, udp: families: IPv4 measured, IPv4, IPv6 declared",
        "iroute, OpenVPN 2.7, udp: mtu: 1400 measured, 1500 declared",
    ]


@pytest.mark.parametrize("mode", ["p2p-static-key", "shared-iroute"])
def test_deprecated_mode_is_marked_in_every_table(mode: str) -> None:
    hub = MeasuredHub(mode, "2.7", 1, Hub(1, 1, 1, 10 << 20))
    quick = Survey(HOST, None, (Declared.of(modes()[mode]),))
    for found in (survey(measured(mode), hubs=(hub,)), quick):
        for sheet in sheets(found):
            assert [row.cells[0] for row in sheet.rows] == [f"{mode} (deprecated)"]
    assert f"deprecated: {modes()[mode].traits.deprecated}" in markdown(quick)


def test_missing_feature_is_named_and_is_not_a_failure() -> None:
    lacking = Measured("dco", "2.7", "udp", missing="this kernel lacks ovpn")
    hub = MeasuredHub("dco", "2.7", 1, missing="this kernel lacks ovpn")
    found = survey(lacking, hubs=(hub,))
    assert found.troubles == []
    for sheet in sheets(found):
        (row,) = sheet.rows
        assert "not measured: this kernel lacks ovpn" in row.cells
        assert len(row.cells) == len(sheet.columns)
        assert row.good


def test_failed_measurement_is_reported() -> None:
    found = survey(Measured("tap", "2.7", "udp", failure="iperf3 has ended"))
    assert found.troubles == ["tap, OpenVPN 2.7, udp: iperf3 has ended"]
    (row,) = next(sheets(found)).rows
    assert not row.good
    assert "not measured: iperf3 has ended" in row.cells


def hubs_of(found: Survey) -> Sheet:
    return list(sheets(found))[1]


def test_memory_is_shown_per_client() -> None:
    hubs = (
        MeasuredHub("iroute", "2.7", 1, Hub(1, 1, 1, 12 << 20)),
        MeasuredHub("iroute", "2.7", 8, Hub(8, 8, 8, 28 << 20)),
        MeasuredHub("tap", "2.7", 1, Hub(1, 1, 1, 12 << 20)),
        MeasuredHub("tap", "2.7", 8, Hub(8, 7, 1, 16 << 20), (Disagreement("clients routed for", "8", "7"),)),
    )
    sheet = hubs_of(survey(hubs=hubs))
    assert sheet.columns[-2:] == ("#MiB per client with 1", "#MiB per client with 8")
    iroute, tap = sheet.rows
    assert iroute.cells == ("iroute", "2.7", "1, 8", "1 of 1, 8 of 8", "12.0", "3.5")
    assert tap.cells == ("tap", "2.7", "1, 1", "1 of 1, 7 of 8 (declared: 8)", "12.0", "2.0")
    assert (iroute.good, tap.good) == (True, False)


def test_markdown_has_one_table_per_sheet() -> None:
    text = markdown(survey(measured("tap"), hubs=(MeasuredHub("tap", "2.7", 1, Hub(1, 1, 1, 12 << 20)),)))
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "| ---: |" in tables[0]


def test_rollup_is_split_into_own_and_shared_memory() -> None:
    memory = parse_rollup(
        "55d0c0a00000-7ffd1a5f2000 ---p 00000000 00:00 0                          [rollup]\n"
        "Rss:               14336 kB\n"
        "Pss:                6021 kB\n"
        "Pss_Anon:           4096 kB\n"
        "Private_Clean:         0 kB\n"
        "Anonymous:          4096 kB\n"
    )
    assert (memory.own, memory.mapped) == (4 << 20, 10 << 20)
