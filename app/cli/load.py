"""`python -m app.cli.load FILE`: send memories to a running service: an export of one, a list or
export of mem0, its own collection in Qdrant, or an archive of OpenMemory, ChatGPT or Claude.

Sent again, what is there is passed over: so it goes on where it was cut off. Ends with status 0
when everything was taken, 1 when some lines were not, 2 when it could not go on.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import BinaryIO

from app.cli.client import add_arguments, connect
from app.config import prepare_environment
from app.errors import StartupError
from app.security.scopes import SCOPE_KEYS, scope_id

SOME_LINES, STOPPED = 1, 2
AGAIN = "Run it again to go on: what is there is passed over."


def main() -> int:
    with TemporaryDirectory() as folder:
        prepare_environment(Path(folder))  # before app.memory imports mem0
        asked = _arguments().parse_args()
        try:
            return _load(asked)
        except KeyboardInterrupt:
            return _stopped("interrupted", AGAIN)
        except (StartupError, OSError) as error:
            return _stopped(str(error))


def _load(asked: argparse.Namespace) -> int:
    from app.cli import mem0_store
    from app.cli.loading import Loading, Stopped
    from app.memory.transfer.records import NotThisFormat

    with connect(asked) as client:
        loading = Loading(client, asked)
        try:
            if mem0_store.is_one(asked.file):
                loading.load_items("mem0", mem0_store.read(asked))
            else:
                with _opened(asked.file) as stream:
                    loading.load(stream)
        except Stopped as error:
            return _stopped(str(error), AGAIN)
        except NotThisFormat as error:
            return _stopped(str(error))
        finally:
            print(json.dumps(loading.report))
    return SOME_LINES if loading.report["failed"] else 0


def _opened(file: str) -> BinaryIO:
    if file != "-":
        return Path(file).open("rb")
    copy = TemporaryFile()  # noqa: SIM115  # the caller closes it
    shutil.copyfileobj(sys.stdin.buffer, copy)
    copy.seek(0)
    return copy


def _stopped(*why: str) -> int:
    print(*why, sep="\n", file=sys.stderr)
    return STOPPED


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.cli.load", description=__doc__)
    parser.add_argument(
        "file",
        help="a file, - for standard input, the address of a Qdrant server, or the folder of one",
    )
    add_arguments(parser)
    parser.add_argument(
        "--format",
        choices=["lines", "mem0", "openmemory", "chatgpt", "claude"],
        help="by default told by what the file says; lines are the service's own",
    )
    parser.add_argument("--dry-run", action="store_true", help="compare and report, write nothing")
    parser.add_argument(
        "--on-conflict",
        choices=["fail", "replace", "skip"],
        default="fail",
        help="where a memory of the same id says something else",
    )
    parser.add_argument(
        "--infer",
        action="store_true",
        help="let the LLM find memories in conversations; else each message is one",
    )
    parser.add_argument(
        "--incomplete", action="store_true", help="also an export that lacks its last line"
    )
    _add_scope(parser)
    _add_store(parser)
    return parser


def _add_scope(parser: argparse.ArgumentParser) -> None:
    for key in SCOPE_KEYS:
        name = key.removesuffix("_id")
        parser.add_argument(
            f"--{name}", dest=key, type=_scope_id, help=f"the {key} of what has none in the file"
        )


def _add_store(parser: argparse.ArgumentParser) -> None:
    store = parser.add_argument_group("for mem0's own store in Qdrant")
    store.add_argument("--collection", help="its name; by default mem0's own")
    store.add_argument("--history", type=Path, help="mem0's history, such as ~/.mem0/history.db")
    store.add_argument("--qdrant-key-file", type=Path, help="a file with the key of that server")


def _scope_id(text: str) -> str:
    try:
        return scope_id(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
