"""Faults as data: fields, records and error messages."""

import pytest

from lab.core.errors import InputError
from lab.fault import KINDS, fault_of
from lab.fault.base import fault_fields
from lab.fault.kinds import parameters_of

SAMPLES = {"link": "hq:eth1", "node": "hq"}
"""Values for the fields without a default."""


@pytest.mark.parametrize("kind", KINDS)
def test_record_reads_back_as_the_same_fault(kind: str) -> None:
    where = {p.key: SAMPLES[p.key] for p in parameters_of(KINDS[kind]) if p.required}
    fault = fault_of(kind, where)
    assert fault_of(fault.kind, fault_fields(fault)) == fault
    assert str(fault)
    assert "\n" not in fault.summary


@pytest.mark.parametrize(
    ("kind", "where", "message"),
    [
        ("blackhol", {}, "unknown fault 'blackhol'; did you mean 'blackhole'?"),
        ("zzz", {}, "unknown fault 'zzz'; there are openvpn-killed, openvpn-terminated"),
        ("blackhole", {"layr": "inner"}, "blackhole: unknown field 'layr'; did you mean 'layer'?"),
        ("blackhole", {"layer": "x"}, "blackhole: layer=x: input should be 'outer' or 'inner'"),
        (
            "impair",
            {"link": "hq:eth1", "delay": "1", "jitter": "2"},
            "impair: a jitter of 2 ms is more than the delay of 1 ms",
        ),
        ("impair", {"link": "hq:eth1", "loss": "101"}, "impair: loss=101: input should be less than or equal to 100"),
        ("link-down", {}, "link-down: link=… is missing; the fields are link"),
    ],
)
def test_mistake_is_reported_in_one_line(kind: str, where: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        fault_of(kind, where)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_fields_of_a_kind() -> None:
    told = {str(p) for p in parameters_of(KINDS["blackhole"])}
    assert told == {"[tunnel]", "[layer=outer|inner]", "[direction=both|to-server|to-client]"}
    assert [str(p) for p in parameters_of(KINDS["link-down"])] == ["link"]
