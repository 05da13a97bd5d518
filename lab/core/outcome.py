"""The effect of an event on the routes of the measured prefixes."""

from typing import Literal

Outcome = Literal["appears", "vanishes", "moves", "returns", "nothing"]
"""`appears`: a route where there was none. `vanishes`: the route is gone. `moves`: another next hop or interface.
`returns`: traffic may be lost for a while and comes back, on any path. `nothing`: neither route nor traffic changes."""
