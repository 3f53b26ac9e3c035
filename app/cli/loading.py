"""Sends a file in pieces to a running service, and repeats each piece until it is taken."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import httpx

from app.cli.client import problem
from app.cli.pieces import LINES, Piece, is_whole, of_foreign, of_lines
from app.cli.progress import Progress
from app.memory.transfer.foreign import as_lines
from app.memory.transfer.formats import FORMATS
from app.memory.transfer.formats.finishing import finished
from app.memory.transfer.formats.recognition import OWN, recognised
from app.memory.transfer.lines import is_own
from app.memory.transfer.records import Item, NotThisFormat, Refused
from app.security.scopes import SCOPE_KEYS

PATIENCE_S = 300.0  # how long one piece is repeated
PAUSE_S, MAX_PAUSE_S = 1.0, 30.0
AGAIN = (429, 503, 504)  # statuses after which a piece is sent again
BEGINNING = 4096  # first bytes of a source, which show a backup of this service
AT_ONCE = {False: LINES, True: 1}
"""Lines in a piece, without and with `--infer`, where the service asks an LLM for each line."""
NOT_WHOLE = (
    "The file is not whole: it lacks its last line, or is not as it was exported. --incomplete "
    "sends what is there."
)


class Stopped(Exception):
    """The load cannot go on; the text says why."""


class Loading:
    """Sends a file, and reports each line that is not taken as soon as that is known."""

    def __init__(self, client: httpx.Client, asked: argparse.Namespace) -> None:
        """`asked`: the arguments of app.cli.load."""
        self._client = client
        self._asked = asked
        self._options = {"on_conflict": asked.on_conflict}
        self._options |= {name: "true" for name in ("infer", "dry_run") if getattr(asked, name)}
        self._progress = Progress(None)
        self._counts: Counter[str] = Counter()
        self._failed = 0

    @property
    def report(self) -> dict[str, int]:
        return {**self._counts, "failed": self._failed}

    def load(self, stream: BinaryIO) -> None:
        """Send `stream`. Raises Stopped and NotThisFormat."""
        size = stream.seek(0, 2)
        stream.seek(0)
        self._send(self._pieces(stream), size)

    def load_items(self, format_name: str, items: Iterator[Item]) -> None:
        """Send `items`, which come from a source that is no file. Raises Stopped and
        NotThisFormat."""
        self._send(self._foreign(format_name, items, lambda: 0), None)

    def _send(self, pieces: Iterator[Piece], size: int | None) -> None:
        self._progress = Progress(size)
        try:
            for piece in pieces:
                self._add(self._taken(piece), piece)
                taken = sum(self._counts[name] for name in ("imported", "unchanged", "inferred"))
                self._progress.tell(piece.position, f"{taken:,} taken, {self._failed:,} not")
        finally:
            self._progress.end()

    def _pieces(self, stream: BinaryIO) -> Iterator[Piece]:
        beginning = stream.read(BEGINNING)
        stream.seek(0)
        name = self._asked.format or recognised(stream) or (OWN if is_own(beginning) else None)
        if name == OWN:
            if is_whole(stream) is False and not self._asked.incomplete:
                raise Stopped(NOT_WHOLE)
            return of_lines(stream, self._refuse, AT_ONCE[self._asked.infer])
        if name is None:
            raise NotThisFormat(f"Its format is not known; --format names {OWN}, {_known()}.")
        return self._foreign(name, FORMATS[name](stream), stream.tell)

    def _foreign(
        self, name: str, items: Iterator[Item], position: Callable[[], int]
    ) -> Iterator[Piece]:
        scope = {key: id_ for key in SCOPE_KEYS if (id_ := getattr(self._asked, key))}
        lines = as_lines(finished(name, items, scope))
        return of_foreign(lines, position, self._refuse, AT_ONCE[self._asked.infer])

    def _taken(self, piece: Piece) -> dict[str, Any]:
        """The service's report about `piece`, which is repeated until it is taken. Raises Stopped
        after PATIENCE_S."""
        until, pause = time.monotonic() + PATIENCE_S, PAUSE_S
        while True:
            response = self._ask(piece)
            if isinstance(response, httpx.Response) and response.is_success:
                report: dict[str, Any] = response.json()
                return report
            wait = max(pause, _retry_after(response))
            if time.monotonic() + wait > until:
                raise Stopped(_why(response))
            time.sleep(wait)
            pause = min(pause * 2, MAX_PAUSE_S)

    def _ask(self, piece: Piece) -> httpx.Response | httpx.TransportError:
        """The answer to `piece`, or a failure that may be temporary. Raises Stopped where sending
        it again is useless."""
        headers = {"Content-Type": "application/x-ndjson"}
        try:
            response = self._client.post(
                "/import", params=self._options, content=piece.body, headers=headers
            )
        except httpx.TransportError as error:
            return error
        if not response.is_success and response.status_code not in AGAIN:
            raise Stopped(problem(response))
        return response

    def _add(self, report: dict[str, Any], piece: Piece) -> None:
        for name, value in report.items():
            if type(value) is int and name not in ("lines", "failed_total"):
                self._counts[name] += value
        for one in report["failed"]:
            self._fail(piece.lines[one["line"] - 1], one["code"], one["detail"])

    def _refuse(self, refused: Refused) -> None:
        self._fail(refused.line, "invalid_request", refused.reason)

    def _fail(self, line: int, code: str, detail: str) -> None:
        self._failed += 1
        self._progress.end()
        print(f"line {line}: {code}: {detail}", file=sys.stderr)


def _known() -> str:
    return ", ".join(FORMATS)


def _retry_after(response: httpx.Response | httpx.TransportError) -> float:
    if isinstance(response, httpx.TransportError):
        return 0.0
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else 0.0


def _why(response: httpx.Response | httpx.TransportError) -> str:
    if isinstance(response, httpx.Response):
        return problem(response)
    return f"The service does not answer: {type(response).__name__}."
