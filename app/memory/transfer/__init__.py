"""Memories that leave the service as lines and come back, and those that come from elsewhere."""
