"""The parsers of OpenVPN and FRR, and BIRD's filters: many files at once in one node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.helpers.scripts import run_script

MAIN = "main.conf"
_MARK = "=== "
_SCRIPT = """
cd /files/cases
for case in *; do
    cd "$case"
    {command} >/tmp/out 2>&1 </dev/null
    echo "{mark}$case $?"
    {output}
    cd ..
done
"""
# With --show-curves OpenVPN parses all options, prints a few names and ends before it opens anything.
_OPENVPN = f"timeout 5 openvpn --config {MAIN} --show-curves"
_MESSAGES = "grep -a -E 'ECHO|ERROR|[Ee]rror|Unrecognized' /tmp/out | cut -c 1-300"
_VTYSH = f"vtysh -C -f {MAIN}"
_BIRD = """
{program} -c main.conf -s /tmp/bird.ctl -P /tmp/bird.pid || exit 1
for again in $(seq 100); do
    birdc -s /tmp/bird.ctl show protocols | grep -q -E '^[fp][0-9].* (start|down) ' || break
    sleep 0.1
done
birdc -s /tmp/bird.ctl show route table all
kill -KILL "$(cat /tmp/bird.pid)"
while kill -0 "$(cat /tmp/bird.pid)"; do sleep 0.1; done
rm -f /tmp/bird.pid /tmp/bird.ctl
"""
"""Starts BIRD, waits until its protocols are up, and asks for all routes. BIRD 2.17 may hang in an orderly shutdown."""
_BIRDS = {"2": "bird", "3": "/opt/bird3/usr/sbin/bird"}

Case = Mapping[str, bytes]
"""The files of one case by name; the program is given `main.conf`."""


@dataclass(frozen=True)
class Verdict:
    """The result for one case."""

    accepted: bool
    output: str

    @property
    def echoed(self) -> list[str]:
        """The arguments of each `echo msg …`."""
        return [line.partition("ECHO:")[2] for line in self.output.split("\n") if "ECHO:" in line]


def verdicts(version: str, cases: Sequence[Case]) -> list[Verdict]:
    """Let OpenVPN of a version parse each case."""
    return _run(version, cases, _SCRIPT.format(command=_OPENVPN, mark=_MARK, output=_MESSAGES))


def verdicts_of_frr(version: str, cases: Sequence[Case]) -> list[Verdict]:
    """Let FRR's vtysh parse each case."""
    return _run(version, cases, _SCRIPT.format(command=_VTYSH, mark=_MARK, output="cat /tmp/out"))


def routes_of_bird(version: str, cases: Sequence[Case]) -> list[Verdict]:
    """Let BIRD 2 or 3 run each case, and print its routes."""
    cases = [{**case, "run": _BIRD.format(program=_BIRDS[version]).encode()} for case in cases]
    return _run("2.6", cases, _SCRIPT.format(command="sh run", mark=_MARK, output="cat /tmp/out"))


def _run(version: str, cases: Sequence[Case], script: str) -> list[Verdict]:
    files = {f"cases/{number}/{name}": content for number, case in enumerate(cases) for name, content in case.items()}
    output = run_script(version, script, files).stdout
    found: dict[int, Verdict] = {}
    for part in output.split(_MARK)[1:]:
        head, _, rest = part.partition("\n")
        number, code = head.split()
        found[int(number)] = Verdict(code == "0", rest)
    return [found[number] for number in range(len(cases))]
