"""The kinds of expectations, one file each."""
