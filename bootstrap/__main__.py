"""`python -m bootstrap`: prepare this host for the lab, or say in one sentence what is missing."""

import os
import sys

from bootstrap.base_image import prepare_base_image
from bootstrap.crun import prepare_crun
from bootstrap.engine import prepare_engine
from lab.core.errors import LabError
from lab.engine import ENVIRONMENT


def main() -> int:
    """Prepare the engine that LAB_ENGINE names, Docker by default, then the base image; return the exit code."""
    try:
        if os.environ.get(ENVIRONMENT) == "crun":
            prepare_crun(say)
        else:
            prepare_engine(say)
            prepare_base_image(say)
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def say(text: str) -> None:
    """Print one step without buffering."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
