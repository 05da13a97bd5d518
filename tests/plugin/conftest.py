"""Somebody else's project that has merely installed the package: its tests run in a process of their own."""

from collections.abc import Callable, Iterator

import pytest

from lab.engine import Engine, open_engine
from lab.runtime.destroy import destroy
from tests.helpers.project import Project


@pytest.fixture(scope="session")
def engine() -> Engine:
    return open_engine()


@pytest.fixture
def project(pytester: pytest.Pytester, engine: Engine) -> Iterator[Project]:
    """A project; whatever its tests leave is taken down."""
    project = Project(pytester, engine)
    yield project
    for name in project.left:
        destroy(name, engine=engine)


@pytest.fixture
def no_traceback() -> Callable[[pytest.RunResult], None]:
    """Nobody who made a mistake is shown the plugin's inside."""

    def check(result: pytest.RunResult) -> None:
        text = f"{result.stdout}\n{result.stderr}"
        for sign in ("Traceback", "INTERNALERROR", "lab/testing", "lab/runtime/lab.py", "lab/engine"):
            assert sign not in text, sign

    return check
