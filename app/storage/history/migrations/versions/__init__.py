"""One file for each version of the schema: what it changes in the one before."""
