"""The commands, each run by `python -m app.cli.NAME`."""
