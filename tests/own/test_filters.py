"""The evaluator of BIRD's filters, held against BIRD 2 and 3: which static routes pass random filters."""

import random
import re
from ipaddress import ip_network

import pytest

from lab.configs import bird
from lab.configs.bird.filters import Route
from tests.helpers.parser import MAIN, routes_of_bird

pytestmark = pytest.mark.docker

PREFIXES = ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "10.128.0.0/9", "8.0.0.0/6",
            "172.16.0.0/12", "172.20.1.0/24", "192.168.0.0/16", "192.0.2.1/32")  # fmt: skip
HEAD = (
    "router id 192.0.2.1;\nprotocol device { }\n"
    "define LENGTH = 16;\ndefine NETS = [10.0.0.0/8{9,24}, 172.16.0.0/12+];\n"
    "function longer(int n) -> bool { return net.len > n; }\n"
    "function near() -> bool { if net ~ [10.0.0.0/8+] then return true; return false; }\n"
    "function refuse_far() { if net !~ [0.0.0.0/1+] then reject; }\n"
    "filter named { if near() then accept; if longer(20) then reject; if net ~ NETS then accept; }\n"
)
ROUTE = re.compile(r"^(\S+/\d+)?\s+(?:unreachable|blackhole) \[f(\d+) ", re.MULTILINE)
NUMBER = 60


class Generator:
    """Makes filters that BIRD accepts."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def policy(self) -> str:
        """Return what follows `import`."""
        kind = self._random.randrange(6)
        if kind == 0:
            return self._random.choice(["all", "none", "filter named"])
        if kind == 1:
            return f"where {self._condition(3)}"
        statements = "\n".join(self._statement(3) for _ in range(self._random.randint(1, 4)))
        return f"filter {{\n{statements}\n}}"

    def _pick(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _prefix(self) -> str:
        return self._random.choice(PREFIXES)

    def _item(self) -> str:
        prefix = self._prefix()
        low = self._random.randint(0, 32)
        return prefix + self._pick("", "+", "-", f"{{{low},{self._random.randint(low, 32)}}}")

    def _set(self) -> str:
        return self._pick("NETS", f"[{', '.join(self._item() for _ in range(self._random.randint(1, 3)))}]")

    def _condition(self, depth: int) -> str:
        if depth and self._random.random() < 0.4:
            inner = f"({self._condition(depth - 1)})"
            return self._pick(
                f"!{inner}", f"{inner} && ({self._condition(depth - 1)})", f"{inner} || {self._condition(0)}"
            )
        length = self._random.randint(0, 33)
        return self._pick(
            f"net ~ {self._set()}",
            f"net !~ {self._set()}",
            f"net ~ {self._prefix()}",
            f"net = {self._prefix()}",
            f"net.len {self._pick('<', '>', '<=', '>=', '=', '!=')} {self._pick(str(length), 'LENGTH')}",
            f"10.1.2.3 {self._pick('~', '!~')} net",
            f"net.ip ~ [{self._item()}]" if self._random.random() < 0.1 else "true",
            "source = RTS_STATIC",
            "source ~ [RTS_BGP, RTS_OSPF]",
            f'proto = "f{self._random.randrange(NUMBER)}"',
            'proto ~ "f1*"',
            "near()",
            f"longer({length})",
            "preference > 100",
        )

    def _statement(self, depth: int) -> str:
        if not depth:
            return self._pick("accept;", "reject;", "preference = 150;", "refuse_far();")
        block = " ".join(self._statement(depth - 1) for _ in range(self._random.randint(1, 3)))
        one, other = self._statement(depth - 1), self._statement(depth - 1)
        return self._pick(
            f"if {self._condition(2)} then {one}",
            f"if {self._condition(2)} then {{ {block} }} else {other}",
            f"if {self._condition(1)} then if {self._condition(1)} then {self._statement(0)} else {self._statement(0)}",
            f"{{ {block} }}",
            f"case net.len {{ 0..9: {self._statement(0)} 16: {self._statement(0)} else: {self._statement(0)} }}",
            self._statement(0),
        )


def configuration(seed: int) -> str:
    """Return a configuration with a static protocol per filter, each with the same routes in a table of its own."""
    generator = Generator(seed)
    routes = "".join(f" route {prefix} unreachable;" for prefix in PREFIXES)
    protocols = (
        f"ipv4 table t{n};\nprotocol static f{n} {{ ipv4 {{ table t{n}; import {generator.policy()}; }};{routes} }}\n"
        for n in range(NUMBER)
    )
    return HEAD + "".join(protocols)


def accepted(output: str) -> set[tuple[str, str]]:
    """Return the accepted routes, as number of the protocol and prefix, from `show route`."""
    found = set()
    prefix = ""
    for match in ROUTE.finditer(output):
        prefix = match[1] or prefix
        found.add((match[2], prefix))
    return found


@pytest.mark.parametrize("version", ["2", "3"])
def test_known_decisions_are_those_of_bird(version: str) -> None:
    texts = [configuration(seed) for seed in range(8)]
    results = routes_of_bird(version, [{MAIN: text.encode()} for text in texts])
    known = disagreements = 0
    for text, result in zip(texts, results, strict=True):
        assert result.accepted, result.output
        passed = accepted(result.output)
        read = bird.parse(text, "bird.conf")
        for protocol in read.file.by_kind["static"]:
            policy = protocol.channels[0].policy("import")
            for prefix in PREFIXES:
                answer = read.passes(policy, Route(ip_network(prefix), "RTS_STATIC", protocol.name), default=True)
                known += answer is not None
                disagreements += answer is not None and answer is not ((protocol.name[1:], prefix) in passed)
    assert disagreements == 0
    assert known > 8 * NUMBER * len(PREFIXES) * 0.6
