"""The filter of system calls of the engine without a daemon."""

import struct
from typing import Any

import pytest

from lab.core.capabilities import NAMES
from lab.core.errors import EnvironmentBroken
from lab.engine.crun.system_calls import compiled, profile


def refused(capabilities: frozenset[str]) -> set[str]:
    return {name for rule in profile(capabilities)["syscalls"] for name in rule["names"]}


@pytest.mark.parametrize(
    ("capability", "call"),
    [
        ("SYS_ADMIN", "mount"),
        ("SYS_ADMIN", "unshare"),
        ("SYS_ADMIN", "clone"),
        ("SYS_ADMIN", "clone3"),
        ("SYS_MODULE", "init_module"),
        ("SYS_TIME", "clock_settime"),
        ("SYS_BOOT", "reboot"),
        ("SYS_PTRACE", "process_vm_readv"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
    ],
)
def test_call_is_refused_without_its_capability(capability: str, call: str) -> None:
    others = frozenset(NAMES) - {capability}
    assert call in refused(others)
    assert call not in refused(others | {capability})


@pytest.mark.parametrize("call", ["keyctl", "add_key", "userfaultfd", "io_uring_setup"])
def test_call_is_refused_to_everybody(call: str) -> None:
    assert call in refused(frozenset(NAMES))


def test_program_refuses_with_the_errors_of_its_rules() -> None:
    code, _, _, value = range(4)
    instructions = list(struct.iter_unpack("=HBBI", compiled(profile({"NET_RAW"}))))
    returned = {found[value] for found in instructions if found[code] == 0x06}  # BPF_RET
    assert {0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38} <= returned


def test_calls_of_other_kernels_are_left_out() -> None:
    rule: dict[str, Any] = {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    filter_ = {**profile({"SYS_ADMIN"}), "syscalls": []}
    assert compiled({**filter_, "syscalls": [rule]}) == compiled(filter_)


def test_rule_that_cannot_be_is_refused() -> None:
    rule = {"names": ["clone"], "errnoRet": 0x10000, "args": [{"index": 9, "value": 1, "valueTwo": 1}]}
    with pytest.raises(EnvironmentBroken, match="libseccomp refuses a filter"):
        compiled({"architectures": [], "syscalls": [rule]})
