"""API keys, the principals that they stand for, and scopes. Knows no Flask."""
