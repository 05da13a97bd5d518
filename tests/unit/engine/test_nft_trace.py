"""The kernel's reports of nftables' rules that a packet met."""

from lab.engine.nft_trace import Step, parse_steps

RULE = bytes.fromhex(
    "b8000000110a000000000000000000000200000008000f000000000208000400000000030800"
    "0600f477ea0a060002006300000006000100660000000c00030000000000000000020c000500"
    "0800010000000000"
)
"""The attributes of a rule that drops, as a 6.18 kernel sent them; without the packet."""


def message(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data[4:]


def test_rule_that_drops() -> None:
    (step,) = parse_steps(message(RULE))
    assert step == Step(0xF477EA0A, "ip", "f", "c", 2, True, b"")


def test_policy_that_accepts() -> None:
    policy = bytes.fromhex(
        "44000000110a000000000000000000000100000008000f00000000020800040000000001"
        "08000600f477ea0a060002006300000006000100740000000800100000000001"
    )
    (step,) = parse_steps(message(policy))
    assert (step.family, step.table, step.handle, step.drops) == ("inet", "t", None, False)
    dropping = policy[:-1] + b"\0"
    assert next(parse_steps(message(dropping))).drops


def test_rest_of_a_truncated_message_is_ignored() -> None:
    assert list(parse_steps(RULE[:20])) == []
    assert list(parse_steps(b"")) == []
