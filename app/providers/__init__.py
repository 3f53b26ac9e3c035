"""The services and models that embed and extract: one file each, found by `registry`."""
