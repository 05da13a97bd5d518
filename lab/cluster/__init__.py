"""Labs on several machines, by Dask distributed."""
