"""A project that has only installed the package; its tests run in a separate process."""

from collections.abc import Callable, Iterator

import pytest

from lab.engine import Engine, open_engine
from lab.runtime.destroy import destroy
from tests.helpers.project import Project


@pytest.fixture(scope="session")
def engine() -> Engine:
    return open_engine()


@pytest.fixture
def pytester(pytester: pytest.Pytester) -> pytest.Pytester:
    """Start each pytest without Hypothesis, whose import takes half of the start."""
    pytester.plugins.append("no:hypothesispytest")
    return pytester


@pytest.fixture
def project(pytester: pytest.Pytester, engine: Engine) -> Iterator[Project]:
    """A project; removes all labs that its tests leave."""
    project = Project(pytester, engine)
    yield project
    for name in project.left:
        destroy(name, engine=engine)


@pytest.fixture
def no_traceback() -> Callable[[pytest.RunResult], None]:
    """Check that a run printed neither a traceback nor a path of the plugin."""

    def check(result: pytest.RunResult) -> None:
        text = f"{result.stdout}\n{result.stderr}"
        for sign in ("Traceback", "INTERNALERROR", "lab/testing", "lab/runtime/lab.py", "lab/engine"):
            assert sign not in text, sign

    return check
