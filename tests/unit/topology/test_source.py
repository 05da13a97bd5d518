"""The text of a file: environment variables, YAML with places, and limits."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab.topology import Topology, substitute
from lab.topology.envsubst import SubstitutionError, expand
from lab.topology.mistakes import Findings
from lab.topology.source import MAX_DEPTH, Scalar, compose, plain

Refuse = Callable[..., list[str]]

ENVIRON: Mapping[str, str] = {"SET": "value", "EMPTY": "", "_": "shell"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$SET ${SET} ${SET:-x} ${SET:=x} ${SET-x} ${SET=x}", "value value value value value value"),
        ("${NONE:-x} ${NONE:=x} ${NONE-x} ${NONE=x}", "x x x x"),
        ("${EMPTY:-x} ${EMPTY:=x}", "x x"),
        ("${EMPTY-x} ${EMPTY=x}", "$EMPTY $EMPTY"),
        ("${SET+x} ${SET:+x} ${EMPTY+x}", "x x x"),
        ("[${NONE+x}${NONE:+x}]", "[]"),
        ("$NONE ${NONE} $EMPTY ${EMPTY}", "$NONE $NONE $EMPTY $EMPTY"),
        ("$$SET $${SET} $$$SET", "$SET ${SET} $value"),
        ("$1 ${1} ${1a} $ $- a$", "$1 ${1} ${1a} $ $- a$"),
        ("$_ ${_}", "$_ ${_}"),
        ("${NONE:=$SET} ${NONE:=$OTHER}", "value $OTHER"),
        ("${NONE:=a/b:1.2-3+4=5}", "a/b:1.2-3+4=5"),
        ("${NONE:=} ${NONE:+} ${SET+}", "$NONE $NONE value"),
    ],
)
def test_variables_are_substituted_as_in_containerlab(text: str, expanded: str) -> None:
    assert expand(text, ENVIRON).text == expanded


@pytest.mark.parametrize("text", ["${", "${SET", "${}", "${A:=${B}}", "${A:=x$B}", "${A:=-1}", "${A\n}"])
def test_ambiguous_substitution_is_refused(text: str) -> None:
    with pytest.raises(SubstitutionError) as caught:
        expand("key: " + text, ENVIRON)
    assert caught.value.offset == len("key: ")


def test_places_refer_to_the_text_before_substitution(refuse: Refuse) -> None:
    text = "name: ${N}x # ${M:-none}\ntopology: {kinds: ${K:=}{}, node: {}}\n"
    lines = refuse(text, environ={"N": "a\nprefix: b # ", "K": "{}, nodes: {}, x: "})
    assert [line.split(": ")[0] for line in lines] == ["lab.yml:2:19", "lab.yml:2:19", "lab.yml:2:29"]


def load_plain(text: str) -> tuple[object, list[str]]:
    findings = Findings(Path("f.yml"))
    tree = compose(expand(text, {}), Path("f.yml"), findings)
    return (plain(tree) if tree else None), [str(m) for m in findings._mistakes]


def test_scalars_are_those_of_yaml_1_1_without_times_and_base_60() -> None:
    data, mistakes = load_plain(
        "[1, -2, 1_000, 0x10, 010, 1.5, yes, off, ~, '1', 1:30, 2026-01-01, 02:00:00:00:00:01, 1e3, 089, !!str 1]"
    )
    assert mistakes == []
    numbers = [1, -2, 1000, 16, 8, 1.5, True, False, None]
    texts = ["1", "1:30", "2026-01-01", "02:00:00:00:00:01", "1e3", "089", "1"]
    assert data == [*numbers, *texts]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BOMB, "more than 200000 values, counting each alias as often as it is used"),
        ("[" * 100_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("- " * 5_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("{a: " * 5_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: &a [*a]", "the alias '*a' contains itself"),
        ("a: *b", "the alias '*b' has no anchor before it"),
        ("a: 1\na: 2", "duplicate key 'a', see line 1"),
        ("? [a]\n: b", "the lab does not support a list or a mapping as a key"),
        ("a: &k b\n*k : c", "the lab does not support an alias as a key"),
        ("a: !!binary aGk=", "the lab does not support the YAML tag 'tag:yaml.org,2002:binary'"),
        ("a: !x {}", "the lab does not support the YAML tag '!x'"),
        ("<<: [1]", "a merge key takes a mapping or a list of mappings"),
        ('a: "\\uD800"', "a NUL or a surrogate, which no text can have"),
        ('a: "\\UFFFFFFFF"', "the escape sequence is not a character"),
        ('a: "\\0"', "a NUL or a surrogate, which no text can have"),
        ("a: \x07", "the character '\\x07' is not allowed"),
        ("a: b: c", "mapping values are not allowed here"),
        ("a\n---\nb", "a second document: a topology file has one"),
        ("a: [1", "expected ',' or ']'"),
    ],
)
def test_invalid_or_excessive_yaml_is_reported_in_one_line(text: str, what: str) -> None:
    _, mistakes = load_plain(text)
    assert len(mistakes) == 1
    assert what in mistakes[0]
    assert mistakes[0].startswith("f.yml:")


def test_duplicate_key_keeps_its_first_value() -> None:
    data, mistakes = load_plain("a: 1\nb: {a: 1}\na: 2\n")
    assert data == {"a": 1, "b": {"a": 1}}
    assert mistakes == ["f.yml:3:1: a: duplicate key 'a', see line 1"]


def test_alias_has_the_place_of_its_anchor() -> None:
    tree = compose(expand("a: &x 1\nb: *x\n", {}), Path("f"), Findings(Path("f")))
    assert tree is not None
    b = tree.entries["b"]  # type: ignore[union-attr]
    assert isinstance(b, Scalar)
    assert (b.place.line, b.path) == (1, ("a",))


def test_magic_variables_are_replaced_in_exec_and_bind_sources(load: Callable[..., Topology], tmp_path: Path) -> None:
    (tmp_path / "n1.conf").touch()
    text = (
        "name: x\n"
        "topology: {nodes: {n1: {kind: linux, image: x,\n"
        "  env: {A: __clabNodeName__},\n"
        "  exec: [echo __clabNodeName__ __clabLabName__ __clabDir__],\n"
        "  binds: ['__clabNodeName__.conf:/__clabNodeName__', '__clabNodeDir__/x:/y:ro', '__clabDir__:/z']}}}\n"
    )
    node = load(text, file=tmp_path / "lab.yml").nodes["n1"]
    assert sorted(node.binds) == [
        f"{tmp_path}/n1.conf:/__clabNodeName__",
        "__clabDir__:/z",
        "__clabNodeDir__/x:/y:ro",
    ]
    running = substitute(node, node_dir=Path("/run/clab-x/n1"), lab_dir=Path("/run/clab-x"))
    assert running.exec == ("echo n1 clab-x /run/clab-x",)
    assert "/run/clab-x/n1/x:/y:ro" in running.binds
    assert "/run/clab-x:/z" in running.binds
    assert dict(running.env) == {"A": "__clabNodeName__"}, "containerlab substitutes nothing there"
