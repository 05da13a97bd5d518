"""`python -m tests.helpers.other_machine`: a worker's process that stores images, with a store of its own.

The caller's machine has the lab's usual store; this one's is in the environment, so that one host has both.
"""

import os
from pathlib import Path
from unittest import mock

from lab.cluster import store as program
from lab.engine.crun.engine import CrunEngine
from lab.image import store

DATA = "LAB_TEST_DATA"
"""The variable of the data directory."""

if __name__ == "__main__":
    with (
        mock.patch.object(store, "data_directory", return_value=Path(os.environ[DATA])),
        mock.patch.object(store, "_client", return_value=None),
        mock.patch.object(program, "open_engine", CrunEngine),
    ):
        program.main()
