"""Fixtures for the tests of this folder: the routers' daemons."""

from tests.helpers.pairs import case, pair, trio

__all__ = ["case", "pair", "trio"]
