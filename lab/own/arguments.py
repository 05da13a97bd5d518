"""The arguments that the unit of a host gives a process besides its file: the lab gives them too, and says so."""

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Self

from lab.configs.disk import Spot
from lab.configs.openvpn.configuration import Configuration, Directive, command_line
from lab.configs.openvpn.units import starts
from lab.own.hostfiles import HostFiles


@dataclass(frozen=True)
class Arguments:
    """The options of a process's command line."""

    before: tuple[Directive, ...] = ()
    """Before `--config`, so that the file wins over them."""
    after: tuple[Directive, ...] = ()
    source: str = ""
    """The unit, for messages; empty if the topology gives them."""

    @classmethod
    def of_host(cls, configuration: Configuration, disk: HostFiles) -> Self:
        """Return those of the unit that starts a configuration on its host, without those that the file has too."""
        there = {(d.name, d.arguments) for d in configuration.directives if d.connection is None}
        for start in starts(disk, [configuration.path]):
            before, after = (
                tuple(d for d in directives if (d.name, d.arguments) not in there)
                for directives in (start.before, start.after)
            )
            return cls(before, after, start.unit)
        return cls()

    @classmethod
    def given(cls, arguments: Collection[str], file: str, line: int) -> Self:
        """Return those that the topology gives at a line; raises `ValueError` for an unclosed quotation mark."""
        words = [word for argument in arguments for word in shlex.split(argument)]
        if words and not words[0].startswith("--"):
            raise ValueError(f"the first word, {words[0]!r}, is not an option such as '--nobind'")
        before, after = command_line(["--config", *words], file, line)
        return cls(tuple(before), tuple(after))

    def words(self, dropped: Collection[Spot]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the words before and after `--config`, without those that the lab leaves out."""
        before, after = (
            tuple(word for d in directives if d.spot not in dropped for word in (f"--{d.name}", *d.arguments))
            for directives in (self.before, self.after)
        )
        return before, after

    def descriptions(self, dropped: Collection[Spot]) -> Iterator[tuple[Spot, str]]:
        """Yield a sentence for each argument that a unit gives, with its place."""
        if not self.source:
            return
        for directive in (*self.before, *self.after):
            if directive.spot not in dropped:
                option = " ".join((f"--{directive.name}", *directive.arguments))
                yield directive.spot, f"runs with {option}, which is not in the file: {self.source} gives it"
