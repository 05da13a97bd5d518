"""Read a `.checks.yml` file: check everything against the topology, and report all mistakes with their places."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lab.check.actions.faults import ALL, ApplyFault, Impair, Undo
from lab.check.actions.prefixes import Announce, Withdraw
from lab.check.kinds import ACTIONS, EXPECTATIONS
from lab.check.model import WITHIN, Action, Checks, Expected, Item, Keyed, Measure, Problem, Step
from lab.check.problems import unknown_node
from lab.check.relations import parse as parse_relation
from lab.core.errors import InputError
from lab.fault import KINDS as FAULTS
from lab.topology import Topology
from lab.topology.intent import Frozen
from lab.topology.mistakes import Findings, did_you_mean, one_of, quote
from lab.topology.reader import compose_table, text_of
from lab.topology.shape import InvalidValue, build, check_keys, convert, is_absent, note_mismatch
from lab.topology.source import Items, Scalar, Table, Tree

SUFFIX = ".checks.yml"

K = TypeVar("K", bound=Keyed)


class Top(Frozen):
    """The keys of the file."""

    within: float = WITHIN
    """Seconds from a step until its expectations must hold, unless they or the step say otherwise."""
    expect: Any = ()
    """The expectations of the lab as it is, once it is up."""
    steps: Any = ()
    """The steps, in order."""


class StepKeys(Frozen):
    """The keys of a step."""

    step: str
    """Its name: what happens, and what is to be seen."""
    do: Any = ()
    """An action, or a list of actions."""
    within: float | None = None
    """Seconds from the last action until the expectations must hold."""
    expect: Any = ()
    """The expectations after the actions."""
    measure: Measure | None = None
    """Measure the convergence that the actions cause."""


def checks_beside(topology: Path) -> Path:
    """Return the path of the checks file beside a topology file: `article.checks.yml` beside `article.clab.yml`."""
    name = topology.name
    for ending in (".clab.yml", ".clab.yaml", ".yml", ".yaml"):
        if name.endswith(ending):
            return topology.with_name(name.removesuffix(ending) + SUFFIX)
    return topology.with_name(name + SUFFIX)


def read_checks(path: Path, topology: Topology, *, environ: Mapping[str, str] | None = None) -> Checks:
    """Read a file of checks of a topology; `environ` has the values of `${VAR}` in it, by default the process's.

    Raises `TopologyError` with all mistakes, or `InputError` if the file cannot be read.
    """
    return parse_checks(text_of(path, "checks"), path, topology, environ=environ)


def parse_checks(text: str, file: Path, topology: Topology, *, environ: Mapping[str, str] | None = None) -> Checks:
    """Read checks from a text; `file` is its name in messages and need not exist. See `read_checks`."""
    findings = Findings(file)
    root = compose_table(text, file, os.environ if environ is None else environ, findings)
    steps = _Reader(topology, findings).steps(root) if root is not None else ()
    findings.raise_any()
    return Checks(steps, file)


@dataclass
class _Reader:
    topology: Topology
    findings: Findings

    def __post_init__(self) -> None:
        self.measured: list[str] = []
        """The names of the measurements so far."""
        self.applied: list[str] = []
        """The kinds of the faults in force."""

    def steps(self, root: Table) -> tuple[Step, ...]:
        """Return all steps; the first has the expectations of the lab as it is."""
        check_keys(root, _keys(Top), self.findings)
        within = self.seconds(root, WITHIN)
        steps = []
        if not is_absent(root, "expect"):
            steps.append(Step(items=self.items(root.entries["expect"]), within=within, place=root.place))
        if not is_absent(root, "steps"):
            steps += [
                found for tree in self.listed(root.entries["steps"], "steps") if (found := self.step(tree, within))
            ]
        if not steps and not len(self.findings):
            self.findings.add(root, "nothing is expected", "give `expect`, or `steps`")
        return tuple(steps)

    def step(self, tree: Tree, within: float) -> Step | None:
        """Return a step, or None after noting why it is not one."""
        if not isinstance(tree, Table):
            note_mismatch(tree, Mapping[str, Any], self.findings)
            return None
        check_keys(tree, _keys(StepKeys), self.findings)
        name = tree.entries.get("step")
        if not isinstance(name, Scalar) or name.value is None:
            self.findings.add(name or tree, "a step needs a name", "begin it with `step: what happens`")
        actions = self.actions(tree.entries["do"]) if not is_absent(tree, "do") else ()
        items = self.items(tree.entries["expect"]) if not is_absent(tree, "expect") else ()
        measure = self.measure(tree.entries["measure"], actions) if not is_absent(tree, "measure") else None
        if is_absent(tree, "do") and is_absent(tree, "expect"):
            self.findings.add(tree, "the step does nothing and expects nothing", "give `do`, `expect` or both")
        return Step(
            name=name.text if isinstance(name, Scalar) else "",
            actions=actions,
            items=items,
            measure=measure,
            within=self.seconds(tree, within),
            place=tree.place,
            measure_place=tree.entries["measure"].place if measure else None,
        )

    def actions(self, tree: Tree) -> tuple[Action, ...]:
        """Return the actions of `do`: one or a list."""
        trees = tree.items if isinstance(tree, Items) else (tree,)
        found = [(each, action) for each in trees if (action := self.keyed(each, ACTIONS)) is not None]
        for each, action in found:
            self.follow_faults(each, action)
        return tuple(action for _, action in found)

    def follow_faults(self, tree: Tree, action: Action) -> None:
        """Note an `undo` of what no action before it applied."""
        match action:
            case ApplyFault(fault=fault) if fault.lasting:
                self.applied.append(fault.kind)
            case Impair():
                self.applied.append(action.settings.kind)
            case Undo(undo=kind):
                left = [] if kind == ALL else [each for each in self.applied if each != kind]
                # After another mistake, such as a misspelt fault, this one may be none.
                if left == self.applied and not len(self.findings):
                    assert isinstance(tree, Table)
                    what = "no fault" if kind == ALL else f"no {kind}"
                    self.findings.add(tree.entries["undo"], f"{what} is in force then", "apply it in a step before")
                self.applied = left

    def items(self, tree: Tree) -> tuple[Item, ...]:
        """Return the expectations of a list."""
        found = ((each, self.keyed(each, EXPECTATIONS)) for each in self.listed(tree, "expect"))
        return tuple(Item(expected, each.place) for each, expected in found if expected is not None)

    def keyed(self, tree: Tree, kinds: Mapping[str, type[K]]) -> K | None:
        """Return an expectation or an action, or None after noting what is wrong with it."""
        if not isinstance(tree, Table):
            note_mismatch(tree, Mapping[str, Any], self.findings)
            return None
        kind = self.kind_of(tree, kinds)
        if kind is None:
            return None
        try:
            found = self.fault(tree) if issubclass(kinds[kind], ApplyFault) else build(tree, kinds[kind], self.findings)
        except InvalidValue:
            return None
        self.note(tree, found.problems(self.topology))
        return found

    def kind_of(self, tree: Table, kinds: Mapping[str, type[Keyed]]) -> str | None:
        """Return the kind whose key a mapping has; another kind's key can be a further key of it."""
        present = [kind for kind in kinds if kind in tree.entries]
        whole = [kind for kind in present if {*present} - {kind} <= _more_keys(kinds[kind])]
        if len(whole) == 1:
            return whole[0]
        what = "an expectation" if kinds is EXPECTATIONS else "an action"
        if present:
            self.findings.add(tree.keys[present[1]], f"{what} has one of {one_of(present)}", "make two items of them")
            return None
        for key in tree.entries:
            if hint := did_you_mean(key, kinds):
                self.findings.add(tree.keys[key], f"there is no {what.split()[1]} {quote(key)}", hint)
                return None
        self.findings.add(tree, f"{what} is missing", f"give one of {one_of(kinds)}")
        return None

    def fault(self, tree: Table) -> Any:
        """Return the fault of an action; its further keys are the fields of its kind."""
        name = tree.entries["fault"]
        if not isinstance(name, Scalar) or name.text not in FAULTS:
            text = name.text if isinstance(name, Scalar) else ""
            hint = did_you_mean(text, FAULTS) or f"there are {', '.join(FAULTS)}"
            self.findings.add(name, f"there is no fault {quote(text)}", hint)
            raise InvalidValue
        fields = {key: value for key, value in tree.entries.items() if key != "fault"}
        return ApplyFault(
            fault=build(Table(tree.place, tree.path, fields, tree.keys), FAULTS[name.text], self.findings)
        )

    def measure(self, tree: Tree, actions: Sequence[Action]) -> Measure | None:
        """Return a measurement, whose relations name earlier ones."""
        try:
            found = build(tree, Measure, self.findings)
        except InvalidValue:
            return None
        assert isinstance(tree, Table)
        self.note(tree, unknown_node(self.topology, "node", found.node))
        if not any(isinstance(action, Announce | Withdraw) for action in actions):
            self.findings.add(
                tree, "nothing is announced or withdrawn in this step", "measure a step whose `do` has one of them"
            )
        relations = tree.entries.get("relations")
        for number, text in enumerate(found.relations):
            try:
                parse_relation(text, self.measured)
            except InputError as error:
                assert isinstance(relations, Items)
                self.findings.add(relations.items[number], str(error))
        if found.name in self.measured:
            self.findings.add(tree.entries["as"], f"there is a measurement {quote(found.name)} already")
        if found.name:
            self.measured.append(found.name)
        return found

    def note(self, tree: Table, problems: Any) -> None:
        """Note problems at the places of their keys."""
        problem: Problem
        for problem in problems:
            self.findings.add(tree.entries.get(problem.key, tree), problem.what, problem.hint)

    def listed(self, tree: Tree, key: str) -> Collection[Tree]:
        """Return the items of a list."""
        if isinstance(tree, Items):
            return tree.items
        note_mismatch(tree, tuple[Any, ...], self.findings)
        return ()

    def seconds(self, tree: Table, default: float) -> float:
        """Return `within` of the file or of a step."""
        if is_absent(tree, "within"):
            return default
        try:
            found: float = convert(tree.entries["within"], float, self.findings, Expected.model_fields["within"])
        except InvalidValue:
            return default
        return found


def _keys(model: type[Frozen]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _more_keys(kind: type[Keyed]) -> set[str]:
    return set(_keys(kind)) - {kind.kind}
