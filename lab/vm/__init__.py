"""A virtual machine with a kernel of its own, for what the host's kernel lacks."""

from lab.vm.machine import Machine, sweep_machines

__all__ = ["Machine", "sweep_machines"]
