"""The article's two sites, as the tests of convergence speak of them."""

from tests.convergence.conftest import branch, hq

__all__ = ["branch", "hq"]
