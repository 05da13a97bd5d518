"""`lab validate`, `lab graph`, `lab render`: what can be done with a topology file alone."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.choose import AsJson, LabName, Settings, OpenVpnVersion, NewName, TopologyName, attached, complete_topology, loaded
from lab.cli.output import print_json
from lab.errors import InputError
from lab.cli.errors import BAD_INPUT, say
