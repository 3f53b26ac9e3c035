"""HTTP that all routes and dialects share: bodies, problems, keys, origins, limits, access log."""
