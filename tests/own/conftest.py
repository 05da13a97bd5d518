"""Fixtures for the tests of this folder: the routers of a pair."""

from tests.helpers.pairs import pair

__all__ = ["pair"]
