"""What the routers of a test speak: fixtures for the tests of this folder."""

from tests.helpers.pairs import case, pair, trio

__all__ = ["case", "pair", "trio"]
