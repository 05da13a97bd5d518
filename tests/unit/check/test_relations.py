"""Relations between stages of measurements."""

import pytest

from lab.check.relations import Relation, Term, parse
from lab.core.errors import InputError

EARLIER = ("baseline",)


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("fib < 2 s", Relation("fib", "<", (Term(2.0),))),
        ("fib<=250ms", Relation("fib", "<=", (Term(0.25),))),
        ("fib < 3 * baseline", Relation("fib", "<", (Term(3.0, "fib", "baseline"),))),
        ("rib >= baseline.fib", Relation("rib", ">=", (Term(1.0, "fib", "baseline"),))),
        ("first-packet < fib + 100 ms", Relation("first-packet", "<", (Term(1.0, "fib"), Term(0.1)))),
        ("fib > 1.5*update", Relation("fib", ">", (Term(1.5, "update"),))),
    ],
)
def test_relation_is_read(text: str, relation: Relation) -> None:
    assert parse(text, EARLIER) == relation


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("fast", "'fast' is not a relation; write for example `fib < 2 s` or `fib < 3 * baseline`"),
        ("fib == 2 s", "'fib == 2 s' is not a relation; write for example `fib < 2 s` or `fib < 3 * baseline`"),
        ("fob < 2 s", "unknown stage 'fob'; did you mean 'fib'?"),
        (
            "fib < 2",
            "'2' is neither a duration nor a measurement; write for example `fib < 2 s` or `fib < 3 * baseline`",
        ),
        ("fib < 2 * baselin", "unknown stage 'baselin'; did you mean 'baseline'?"),
        ("fib < other.rib", "unknown measurement 'other'; there are baseline"),
    ],
)
def test_mistake_says_what_to_write(text: str, mistake: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, EARLIER)
    assert str(caught.value) == mistake


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("fib < 0.3 s", True),
        ("fib < 200 ms", False),
        ("fib <= 200 ms", True),
        ("fib > 200 ms", False),
        ("fib >= 200 ms", True),
        ("fib < 2 * baseline", False),
        ("fib < 2 * baseline + 1 ms", True),
        ("fib > rib", True),
    ],
)
def test_relation_holds_or_not(text: str, holds: bool) -> None:
    seconds = {("", "fib"): 0.2, ("", "rib"): 0.1, ("baseline", "fib"): 0.1}
    assert parse(text, EARLIER).holds(seconds) is holds


def test_relation_names_what_it_needs() -> None:
    assert list(parse("fib < 2 * baseline + rib + 1 s", EARLIER).needs) == [
        ("", "fib"),
        ("baseline", "fib"),
        ("", "rib"),
    ]
