"""The pages of `lab report` in a browser without a network."""
