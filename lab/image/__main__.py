"""`python -m lab.image remove`: remove every image of the lab."""

import sys

from lab.core.errors import LabError
from lab.image import remove_everything


def main(arguments: list[str]) -> int:
    """Remove the images, and return the exit code."""
    if arguments != ["remove"]:
        print("usage: python -m lab.image remove", file=sys.stderr)
        return 2
    try:
        remove_everything(print)
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
