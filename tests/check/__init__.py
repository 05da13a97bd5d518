"""Real labs: expectations hold, fail after a fault, and hold again once it is undone."""
