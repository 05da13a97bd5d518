"""A virtual machine with its own kernel, for features that the host's kernel lacks."""

from lab.vm.virtual_machine import VirtualMachine, sweep_virtual_machines

__all__ = ["VirtualMachine", "sweep_virtual_machines"]
