"""`python -m bootstrap`: prepare this host for the lab, or say in one sentence what is missing."""

import sys

from bootstrap.base_image import prepare_base_image
from bootstrap.engine import prepare_engine
from lab.core.errors import LabError


def main() -> int:
    """Prepare the engine, then the base image; return the exit code."""
    try:
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
