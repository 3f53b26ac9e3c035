"""Intents and recovery: a write is whole, whatever is killed or fails in the middle of it."""
