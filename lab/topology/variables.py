"""The variables of a node, a link or an endpoint: the lab's own keys, and those of others, which are free."""

from collections.abc import Collection

from lab.topology.mistakes import Findings, nearest, quote
from lab.topology.source import Table, Tree

_MISSPELT = 0.8
"""The similarity of two words from which one may be the other with a typing error."""


def own_variables(tree: Tree, known: Collection[str], node: str, findings: Findings) -> Tree:
    """Return a mapping of variables without those that are not the lab's; one that may be misspelt gives a note."""
    if not isinstance(tree, Table):
        return tree
    for key in tree.entries:
        if key not in known and (meant := nearest(key, known, cutoff=_MISSPELT)) is not None:
            what = f"the variable {quote(key)} has no effect, as any that is not the lab's; did you mean {meant!r}?"
            findings.note(tree.keys[key], node, what)
    return Table(tree.place, tree.path, {k: v for k, v in tree.entries.items() if k in known}, tree.keys)
