"""Shards: the parts of a plan that machines or CI jobs measure without knowing of each other."""

import re
from dataclasses import dataclass

from lab.core.errors import InputError

_FORM = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


@dataclass(frozen=True, order=True)
class Shard:
    """One of several parts of a plan: every `count`-th of its blocks, from block `number` on."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str, where: str = "--shard") -> "Shard":
        """Return the shard that a text names, as in `3/10`; raises `InputError`."""
        if (found := _FORM.fullmatch(text)) is None or int(found[1]) > int(found[2]):
            raise InputError(f"{where}: {text!r} does not name a part: write for example 3/10")
        return cls(int(found[1]), int(found[2]))

    def has(self, block: int) -> bool:
        """Return whether a block, counted from 1, is in this shard."""
        return block % self.count == self.number % self.count

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


WHOLE = Shard(1, 1)
"""The whole plan."""
