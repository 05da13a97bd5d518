"""Load the packet filters of the user's into the network namespaces of their nodes, and nowhere else."""

import re
from typing import Final

from lab.core.errors import InputError, LabError, NotSupported
from lab.engine import ExecResult
from lab.engine.node import RunningNode
from lab.own.probes import missing_module
from lab.topology.own import OwnRuleset

_PROGRAMS: Final = {
    "nft": ("nft", "-f"),
    "iptables": ("iptables-nft-restore",),
    "ip6tables": ("ip6tables-nft-restore",),
}
_MISSING: Final = (126, 127)
"""Exit codes of an engine for a program that the image lacks."""
_SHOWN: Final = 100
"""The characters of a rule that a message shows."""
_NFT_ERROR: Final = re.compile(r"^(?P<file>/[^:\n]+):(?P<line>\d+):[\d-]+: Error: (?P<what>.*)$", re.M)
_IPTABLES_LINE: Final = re.compile(r"(?:Error occurred at line: |: line )(?P<line>\d+)")
_IPTABLES_SAYS: Final = re.compile(r"^ip6?tables(?:-nft)?-restore(?: v[^:]*)?: (?!line )(?P<what>.+)$", re.M)
_REFUSED: Final = re.compile(r"No such file or directory|Operation not supported|Protocol not supported")
_EXTENSION: Final = re.compile(r"Extension (?P<name>\w+) revision \d+ not supported, missing kernel module")


def load_ruleset(node: RunningNode, ruleset: OwnRuleset) -> None:
    """Load a ruleset in its node, all of it or nothing.

    Raises `InputError` with the file and line that the program refuses, and `NotSupported` for a rule that this host's
    kernel cannot run.
    """
    result = node.exec(*_PROGRAMS[ruleset.form], str(ruleset.path))
    if result.failed:
        raise explain(node, ruleset, result)


def explain(node: RunningNode, ruleset: OwnRuleset, result: ExecResult) -> LabError:
    """Return the error for a ruleset that was not loaded, with its place in the user's file."""
    program = _PROGRAMS[ruleset.form][0]
    if result.exit_code in _MISSING:
        what = f"{ruleset.given}: the image of {ruleset.node} has no {program}"
        return InputError(f"{what}: use an image of the lab's, or give the ruleset in another form")
    output = f"{result.stderr}\n{result.stdout}".strip()
    return _of_nft(node, ruleset, output) if ruleset.form == "nft" else _of_iptables(ruleset, output, program)


def _of_nft(node: RunningNode, ruleset: OwnRuleset, output: str) -> LabError:
    match = _NFT_ERROR.search(output)
    if match is None:
        return InputError(f"{ruleset.given}: nft does not load it: {_last(output)}")
    place = _place(ruleset, match["file"], int(match["line"]))
    rule = output[match.end() :].lstrip("\n").partition("\n")[0].strip()
    what = match["what"].removeprefix("Could not process rule: ")
    if what != match["what"] and _REFUSED.search(what) and (module := missing_module(node, rule)) is not None:
        return _unsupported(place, f"`{rule[:_SHOWN]}`", module)
    return InputError(f"{place}: nft refuses the line: {what}" + (f" (`{rule[:_SHOWN]}`)" if rule else ""))


def _unsupported(place: str, rule: str, module: str) -> NotSupported:
    return NotSupported("a rule of the ruleset", f"{place}: {rule} needs the kernel's module {module}, which it lacks")


def _of_iptables(ruleset: OwnRuleset, output: str, program: str) -> LabError:
    line = _IPTABLES_LINE.search(output)
    place = _place(ruleset, str(ruleset.path), int(line["line"])) if line else ruleset.given
    said = _IPTABLES_SAYS.search(output)
    what = (said["what"] if said else _last(output)).rstrip(".")
    if (extension := _EXTENSION.search(output)) is not None:
        return _unsupported(place, "the rule", f"xt_{extension['name']}")
    hint = ": `ipset` is not in the lab's images" if re.search(r"\bSet \S+ doesn't exist", what) else ""
    return InputError(f"{place}: {program} refuses the line: {what}{hint}")


def _place(ruleset: OwnRuleset, path: str, line: int) -> str:
    given = next((file.given for file in ruleset.files if str(file.path) == path), path)
    return f"{given}:{line}"


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
