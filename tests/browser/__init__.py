"""The page of `lab report`, in a real browser that has no network."""
