"""Files that nodes have from the lab's directory and that are empty until the lab is up, as in containerlab."""

import json

from lab.runtime.lab import Lab
from lab.status.inventory import FORMATS, hosts
from lab.status.topology_data import topology_data
from lab.topology.magic import FILLED_LATER


def fill_files(lab: Lab) -> None:
    """Write the inventory for Ansible and the data of the topology, each if a node has the file."""
    inventory, data = (lab.directory / name for name in FILLED_LATER)
    # Written in place: a node has the file itself, and not the directory that it is in.
    if inventory.exists():
        inventory.write_text(FORMATS["ansible"](hosts(lab)))
    if data.exists():
        data.write_text(json.dumps(topology_data(lab), indent=2) + "\n")
