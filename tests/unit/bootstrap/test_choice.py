"""Which engine `make` prepares: the one that is named, Docker where it answers, and crun elsewhere."""

import pytest

from bootstrap import __main__ as bootstrap
from lab.core.errors import EnvironmentBroken, InputError
from lab.engine import ENVIRONMENT
from lab.host import docker_engine


class Client:
    def close(self) -> None:
        pass


def absent() -> Client:
    raise EnvironmentBroken("no Docker engine answers")


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that were prepared, on a host where Docker answers and nothing is named."""
    found: list[str] = []
    for name in ("crun", "docker", "base_image"):
        monkeypatch.setattr(bootstrap, f"prepare_{name}", lambda _, name=name: found.append(name))
    for name in ("DOCKER_HOST", ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(docker_engine, "connect", Client)
    return found


def test_docker_is_prepared_where_it_answers(prepared: list[str]) -> None:
    assert bootstrap.main() == 0
    assert prepared == ["docker", "base_image"]


def test_crun_is_prepared_where_no_docker_answers(
    prepared: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docker_engine, "connect", absent)
    assert bootstrap.main() == 0
    assert prepared == ["crun"]
    assert "ENGINE=docker installs Docker" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (ENVIRONMENT, "docker", ["docker", "base_image"]),
        (ENVIRONMENT, "crun", ["crun"]),
        ("DOCKER_HOST", "unix:///nowhere.sock", ["docker", "base_image"]),
    ],
)
@pytest.mark.parametrize("connect", [Client, absent], ids=["answers", "absent"])
def test_named_engine_is_prepared_whatever_answers(
    prepared: list[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    expected: list[str],
    connect: object,
) -> None:
    monkeypatch.setattr(docker_engine, "connect", connect)
    monkeypatch.setenv(variable, value)
    assert bootstrap.main() == 0
    assert prepared == expected


def test_unknown_engine_is_refused_before_anything_is_installed(
    prepared: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "rocket")
    assert bootstrap.main() == InputError.exit_code
    assert prepared == []
    assert "unknown engine 'rocket'" in capsys.readouterr().err
