"""Commands: python -m app.cli.NAME."""
