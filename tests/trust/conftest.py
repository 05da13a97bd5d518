"""The article's two sites, as the tests speak of them."""

from tests.convergence.conftest import Site, branch, hq

__all__ = ["Site", "branch", "hq"]
