"""The nine routes."""
