"""The program `lab` and an engine on paper."""

from pathlib import Path

import pytest

from tests.helpers.paper import PaperEngine, Program


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program, with an engine on which nothing runs yet."""
    engine = PaperEngine()
    monkeypatch.setattr("lab.engine.open_engine", lambda name=None: engine)
    monkeypatch.setattr("lab.engine.all_engines", lambda name=None: [engine])
    monkeypatch.chdir(tmp_path)
    return Program(engine, tmp_path)
