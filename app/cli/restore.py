"""`python -m app.cli.restore FILE`: put back what `python -m app.cli.backup` wrote.

Reads the same settings as the service, which must not run meanwhile.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from app.cli.messages import reported_failures, tell
from app.config import Settings, prepare_environment
from app.storage.backup.restoring import restore


def main() -> None:
    asked = _arguments().parse_args()
    with reported_failures("Nothing was changed."):
        settings = Settings.from_env()
        settings.make_data_dir()
        prepare_environment(settings.data_dir)
        with _given(asked.file, settings.data_dir) as file:
            about = restore(settings, file, tell, replace=asked.replace)
    tell(f"{about.memories} memories and {about.events} events are back, as of {about.created_at}")
    again = "runs" if settings.reembeds else "runs and 'python -m app.reembed' was called"
    tell(
        f"Their vectors are of {about.embedder} ({about.dimensions}). If the settings name another "
        f"embedder, they are found by meaning once the service {again}."
    )


@contextmanager
def _given(name: str, data_dir: Path) -> Iterator[IO[bytes]]:
    if name != "-":
        with Path(name).open("rb") as file:
            yield file
        return
    with TemporaryFile(dir=data_dir) as file:  # a copy, because the end of an archive is read first
        shutil.copyfileobj(sys.stdin.buffer, file)
        yield file


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.cli.restore", description=__doc__)
    parser.add_argument("file", metavar="FILE", help="- for the standard input")
    parser.add_argument(
        "--replace", action="store_true", help="in the place of the memories that are there"
    )
    return parser


if __name__ == "__main__":
    main()
