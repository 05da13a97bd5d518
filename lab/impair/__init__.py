"""Link conditions: delay, jitter, loss, rate and duplicates, by what this kernel has.

Nothing is imported here: a relay is a program of its own, and starts the sooner the less it brings along.
"""
