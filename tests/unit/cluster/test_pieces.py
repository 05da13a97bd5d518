"""Content in pieces: what is lost, damaged or in another order on the way is noticed before it counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.cluster.pieces import End, Piece, cut, join
from lab.core.errors import EnvironmentBroken


def joined(parts: list[Piece | End]) -> list[bytes]:
    """Return what a consumer gets until the end or an error."""
    left = iter(parts)
    return list(join(lambda _: next(left)))


@given(st.lists(st.binary(max_size=9)), st.integers(1, 5))
def test_content_arrives_as_it_was_in_pieces_of_one_size(chunks: list[bytes], size: int) -> None:
    parts = list(cut(chunks, size))
    pieces = [part for part in parts if isinstance(part, Piece)]
    assert [len(piece.content) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert b"".join(joined(parts)) == b"".join(chunks)


def test_next_piece_is_asked_for_when_the_one_before_is_used() -> None:
    """Memory is bounded by two pieces, however long the content."""
    events: list[str] = []
    parts = iter(list(cut([b"abc"], 1)))

    def receive(number: int) -> Piece | End:
        events.append(f"ask {number}")
        return next(parts)

    events.extend(f"use {content.decode()}" for content in join(receive))
    assert events == ["ask 0", "ask 1", "use a", "ask 2", "use b", "ask 3", "use c"]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ([0, 2, 1, 3], "piece 2 arrived instead of piece 1"),
        ([0, 2, 3], "piece 2 arrived instead of piece 1"),
        ([0, 1, 1, 2, 3], "piece 1 arrived instead of piece 2"),
        ([0, 1, 3], "it arrived with digest"),
    ],
    ids=["swapped", "lost", "twice", "without-the-last"],
)
def test_pieces_in_another_order_are_refused(order: list[int], why: str) -> None:
    parts = list(cut([b"abc"], 1))
    with pytest.raises(EnvironmentBroken, match=f"^{why}"):
        joined([parts[number] for number in order])


def test_last_piece_of_damaged_content_is_held_back() -> None:
    *parts, end = cut([b"abc"], 1)
    parts[1] = Piece(1, b"X")
    left = iter([*parts, end])
    got: list[bytes] = []
    with pytest.raises(EnvironmentBroken, match=r"^it arrived with digest \w{64} instead of \w{64}$"):
        got.extend(join(lambda _: next(left)))
    got = []
    left = iter([*parts, end])
    consumer = join(lambda _: next(left))
    got += [next(consumer), next(consumer)]
    with pytest.raises(EnvironmentBroken):
        next(consumer)
    assert got == [b"a", b"X"]
