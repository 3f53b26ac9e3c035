"""`python -m app.cli.export FILE`: write the memories of a running service to a file.

The file is there when it is whole, and not before: it has all of them to its last line.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.cli.client import add_arguments, connect, problem
from app.cli.progress import Progress
from app.config import prepare_environment
from app.errors import StartupError
from app.security.scopes import SCOPE_KEYS

NOT_WHOLE = "The export broke off, or memories were deleted while they were read; run it again."


def main() -> int:
    with TemporaryDirectory() as folder:
        prepare_environment(Path(folder))  # before app.memory imports mem0
        asked = _arguments().parse_args()
        part = asked.file.with_name(f"{asked.file.name}.part")
        try:
            with connect(asked) as client:
                return _export(client, asked, part)
        except KeyboardInterrupt:
            return _failed("interrupted")
        except httpx.TransportError as error:
            return _failed(f"The service does not answer: {type(error).__name__}. {NOT_WHOLE}")
        except (StartupError, OSError) as error:
            return _failed(str(error))
        finally:
            part.unlink(missing_ok=True)


def _export(client: httpx.Client, asked: argparse.Namespace, part: Path) -> int:
    from app.cli.pieces import is_whole

    progress = Progress(None)
    with client.stream("POST", "/export", json=_body(asked)) as response:
        if not response.is_success:
            response.read()
            return _failed(problem(response))
        size = 0
        with part.open("wb") as file:
            for data in response.iter_bytes():
                file.write(data)
                size += len(data)
                progress.tell(size, f"{size / 1e6:,.1f} MB")
    progress.end()
    with part.open("rb") as file:
        if not is_whole(file):
            return _failed(NOT_WHOLE)
    part.replace(asked.file)
    return 0


def _body(asked: argparse.Namespace) -> dict[str, Any]:
    scope = {key: value for key in SCOPE_KEYS if (value := getattr(asked, key))}
    return {**scope, "vectors": asked.vectors, "history": asked.history}


def _failed(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.cli.export", description=__doc__)
    parser.add_argument("file", type=Path)
    add_arguments(parser)
    parser.add_argument(
        "--vectors", action="store_true", help="with them, so that nothing is embedded again"
    )
    parser.add_argument(
        "--history",
        choices=["none", "memories", "all"],
        default="memories",
        help="all: also of memories that were deleted",
    )
    for key in SCOPE_KEYS:
        parser.add_argument(f"--{key.removesuffix('_id')}", dest=key, help=f"of this {key} alone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
