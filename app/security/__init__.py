"""Keys, and what they open; no Flask."""
