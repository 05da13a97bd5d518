"""The tunnel modes side by side: what each declares about itself, and what is measured of it on this machine."""
