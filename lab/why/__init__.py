"""Why a packet does not arrive, a route is missing, a session or a tunnel is down: causes, each with its evidence."""

from lab.why.cause import Cause, Explanation, Observation

__all__ = ["Cause", "Explanation", "Observation"]
