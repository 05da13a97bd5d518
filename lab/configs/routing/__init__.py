"""The facts in configurations of routing daemons, in one model."""
