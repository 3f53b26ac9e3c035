"""`python -m app.cli.backup FILE`: everything that is remembered, as of one moment, in one file.

The service may run or not. Reads the same settings.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from app.cli.messages import reported_failures, tell
from app.config import Settings
from app.errors import StartupError
from app.storage.backup.archive import Manifest
from app.storage.backup.making import make_backup, new_file


def main() -> None:
    asked = _arguments().parse_args()
    signal.signal(signal.SIGTERM, _end)  # SystemExit lets `new_file` delete the unfinished file
    with reported_failures("No backup was made."):
        made = _to_output() if asked.file == "-" else _to_file(Path(asked.file), asked.replace)
        tell(f"{made.memories} memories and {made.events} events, as of {made.created_at}")


def _to_output() -> Manifest:
    return make_backup(Settings.from_env(), sys.stdout.buffer, tell)


def _to_file(path: Path, replace: bool) -> Manifest:
    if path.exists() and not replace:
        raise StartupError(f"{path} is there already: --replace writes over it, once it is whole.")
    settings = Settings.from_env()
    with new_file(path, settings) as file:
        return make_backup(settings, file, tell)


def _end(*_: Any) -> None:
    sys.exit(128 + signal.SIGTERM)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.cli.backup", description=__doc__)
    parser.add_argument("file", metavar="FILE", help="- for the standard output")
    parser.add_argument("--replace", action="store_true", help="write over FILE")
    return parser


if __name__ == "__main__":
    main()
