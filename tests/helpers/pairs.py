"""Two routers, or a hub and two spokes, as parameters of tests; tests with the same ones share a lab."""

from dataclasses import dataclass

import pytest

from tests.helpers.matrix import Case


@dataclass(frozen=True)
class Pair:
    """The `router` keys of two routers in a topology file."""

    name: str
    hq: str
    branch: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Trio:
    """The `router` keys of a hub and two spokes."""

    name: str
    hub: str
    spoke1: str
    spoke2: str

    def __str__(self) -> str:
        return self.name


@pytest.fixture(autouse=True)
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pair | None:
    """The pair that a test is parametrized with; it is set before the lab is deployed."""
    wanted: Pair | None = getattr(request, "param", None)
    if wanted is not None:
        monkeypatch.setenv("HQ", wanted.hq)
        monkeypatch.setenv("BRANCH", wanted.branch)
    return wanted


@pytest.fixture(autouse=True)
def trio(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Trio | None:
    """The hub and the spokes that a test is parametrized with; they are set before the lab is deployed."""
    wanted: Trio | None = getattr(request, "param", None)
    if wanted is not None:
        monkeypatch.setenv("HUB", wanted.hub)
        monkeypatch.setenv("SPOKE1", wanted.spoke1)
        monkeypatch.setenv("SPOKE2", wanted.spoke2)
    return wanted


@pytest.fixture
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A case of the matrix; tests name it before the lab, which is deployed with the routers of the case."""
    wanted: Case = request.param
    monkeypatch.setenv("HQ", wanted.speakers.hq)
    monkeypatch.setenv("BRANCH", wanted.speakers.branch)
    return wanted
