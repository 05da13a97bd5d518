"""The kinds of actions of a step."""
