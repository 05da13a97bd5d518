"""This host: its Docker engine, its kernel's features, and what `lab doctor` checks."""
