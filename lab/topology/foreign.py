"""Keys of containerlab's that a node has, and that the lab does not act upon: refused, or accepted with a note."""

from collections.abc import Mapping

from lab.topology.keys import INHERITED, NODE_FIXED, NODE_INERT
from lab.topology.mistakes import Findings, quote
from lab.topology.source import Scalar, Tree, plain


def check_foreign(node: str, keys: Mapping[str, Tree], findings: Findings, *, external: bool) -> None:
    """Check the keys of a node, inherited ones included; `external` is True for another vendor's system."""
    for key, tree in keys.items():
        if key in NODE_INERT and external:
            findings.add(tree, f"the lab does not support {key!r}: it does not configure another vendor's system")
        elif key in NODE_INERT:
            findings.note(tree, node, f"{key!r} has no effect: {NODE_INERT[key]}")
        elif key in NODE_FIXED:
            _check_fixed(node, key, tree, findings)


def _check_fixed(node: str, key: str, tree: Tree, findings: Findings) -> None:
    fixed = NODE_FIXED[key]
    value = tree.text if INHERITED[key] is str and isinstance(tree, Scalar) else plain(tree)
    if value in fixed.same:
        return
    shown = quote(tree.text) if isinstance(tree, Scalar) else "this"
    if value in fixed.others:
        findings.note(tree, node, f"{key!r} {shown} has no effect: {fixed.why}")
    elif fixed.others:
        accepted = ", ".join(quote(value) for value in (*fixed.same, *fixed.others))
        findings.add(tree, f"{shown} is not a value of {key!r}", f"the values are {accepted}")
    else:
        findings.add(tree, f"the lab does not support {key!r} with this value: {fixed.why}")
