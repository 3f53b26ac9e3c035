"""What every dialect shares: bodies, problems, keys, origins, limits, the access log."""
