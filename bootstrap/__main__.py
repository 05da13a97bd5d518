"""`python -m bootstrap`: prepare this host for the lab, or say in one sentence what is missing."""

import sys

from bootstrap.base_image import prepare_base_image
from bootstrap.crun import prepare_crun
from bootstrap.docker import prepare_docker
from lab.core.errors import EnvironmentBroken, LabError
from lab.core.progress import Say
from lab.engine import named_engine
from lab.host import docker_engine


def main() -> int:
    """Prepare an engine, then the base image; return the exit code."""
    try:
        if choose(say) == "crun":
            prepare_crun(say)
        else:
            prepare_docker(say)
            prepare_base_image(say)
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def choose(say: Say) -> str:
    """Return the engine to prepare: the one that is named, Docker where it answers, and crun elsewhere.

    Raises `InputError` for an unknown name.
    """
    if named := named_engine():
        return named
    try:
        docker_engine.connect().close()
    except EnvironmentBroken:
        say(
            "no Docker engine can be used here: the lab takes crun, which has no daemon (ENGINE=docker installs Docker)"
        )
        return "crun"
    return "docker"


def say(text: str) -> None:
    """Print one step without buffering."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
