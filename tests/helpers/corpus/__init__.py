"""A corpus of generated configurations for `lab advise`: each verdict is held against packets."""
