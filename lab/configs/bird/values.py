"""Values in BIRD's statements: numbers, addresses and prefixes, also those that `define` names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from lab.configs.bird.tokens import Token
from lab.core.prefixes import Address, Prefix

_MAX_DEPTH = 10


@dataclass(frozen=True)
class Values:
    """Reads values with the constants of a configuration."""

    constants: Mapping[str, Sequence[Token]]

    def number(self, token: Token) -> int | None:
        """Return a number; None for anything else."""
        found = self._resolve((token,))
        if len(found) != 1 or found[0].kind != "number" or len(found[0].text) > 18:
            return None
        return int(found[0].text, 16 if found[0].text[:2] in ("0x", "0X") else 10)

    def address(self, token: Token) -> Address | None:
        """Return an address; None for anything else."""
        found = self._resolve((token,))
        try:
            return ip_address(found[0].text) if len(found) == 1 and found[0].kind == "address" else None
        except ValueError:
            return None

    def prefix(self, tokens: Sequence[Token]) -> tuple[Prefix | None, Sequence[Token]]:
        """Return the prefix that an expression begins with, and the words after it."""
        if tokens and tokens[0].kind == "name":
            found, rest = self._resolve(tokens[:1]), tokens[1:]
            if len(found) == 1:  # a constant with an address, followed by a length
                found, rest = [*found, *tokens[1:3]], tokens[3:]
        else:
            found, rest = tokens[:3], tokens[3:]
        if len(found) != 3 or (found[0].kind, found[1].text, found[2].kind) != ("address", "/", "number"):
            return None, tokens
        try:
            return ip_network(f"{found[0].text}/{found[2].text}", strict=False), rest
        except ValueError:
            return None, tokens

    def _resolve(self, tokens: Sequence[Token]) -> Sequence[Token]:
        for _ in range(_MAX_DEPTH):
            if len(tokens) != 1 or tokens[0].kind != "name" or tokens[0].text not in self.constants:
                return tokens
            tokens = self.constants[tokens[0].text]
        return ()
