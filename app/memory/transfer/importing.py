"""Imports lines while they are received: each is checked, and several are stored together."""

import json
from collections.abc import Iterable

from app.embeddings import EmbedderInfo
from app.errors import Forbidden, InvalidRequest, LLMNotConfigured, ServiceError
from app.memory.adding import Adding
from app.memory.embedding import CollectionEmbedder
from app.memory.limits import ConcurrencyLimiter
from app.memory.strict_json import STRICT
from app.memory.transfer import arriving
from app.memory.transfer.arriving import Arriving
from app.memory.transfer.completeness import Completeness
from app.memory.transfer.foreign import Line
from app.memory.transfer.inferring import Inferring
from app.memory.transfer.lines import MAX_LINE
from app.memory.transfer.models import (
    MODELS,
    ConversationLine,
    DeletedLine,
    EndLine,
    HeaderLine,
    MemoryLine,
)
from app.memory.transfer.records import Refused
from app.memory.transfer.report import Report
from app.memory.transfer.requests import ImportRequest
from app.memory.transfer.splitting import RawLine
from app.memory.transfer.storing import Storing
from app.memory.validation import Request, validated
from app.security.principal import Principal
from app.storage.history.rows import History
from app.storage.journal.writer import Writer

TOGETHER, TOGETHER_BYTES = 200, 2_000_000
"""Memories, and bytes of their lines, that are stored together. Edge stops all threads while it
stores them, 15 ms for 200."""
AT_ONCE = 4
"""Imports that may run at once: each occupies a thread while its sender sends."""

MAX_WRONG = 5  # wrong fields of a line that are reported


class Importing:
    """Runs imports."""

    def __init__(
        self, writer: Writer, history: History, embedder: CollectionEmbedder, adding: Adding
    ) -> None:
        self._writer = writer
        self._history = history
        self._embedder = embedder
        self._adding = adding
        self._limiter = ConcurrencyLimiter(
            AT_ONCE, detail=f"{AT_ONCE} imports are at work already; try again."
        )

    def run(self, principal: Principal, asked: ImportRequest, lines: Iterable[Line]) -> Report:
        """The report of all lines. A failure that does not concern one line ends the import; what
        was stored before remains, and the error says so. In a repeat, memories that are already
        there count as unchanged."""
        principal.must_write()
        if asked.infer and not self._adding.extracts:
            raise LLMNotConfigured
        with self._limiter.acquire():
            report = Report(dry_run=asked.dry_run)
            caller = (principal, asked, report)
            storing = Storing(self._writer, self._history, self._embedder, *caller)
            inferring = Inferring(self._adding, *caller) if asked.infer else None
            run = _Run(principal, report, storing, inferring, self._embedder.info)
            return run.all(lines)


class _Run:
    """One import, from its first line to its last."""

    def __init__(
        self,
        principal: Principal,
        report: Report,
        storing: Storing,
        inferring: Inferring | None,
        here: EmbedderInfo,
    ) -> None:
        """Without `inferring`, each message of a conversation becomes a memory. `here` is the
        current embedder: only its vectors can be used."""
        self._principal = principal
        self._report = report
        self._storing = storing
        self._inferring = inferring
        self._here = here
        self._made_by: EmbedderInfo | None = None
        self._completeness = Completeness()
        self._held: dict[str, Arriving] = {}
        self._deleted: dict[str, DeletedLine] = {}
        self._held_bytes = 0

    def all(self, lines: Iterable[Line]) -> Report:
        try:
            for line in lines:
                if isinstance(line, Refused):
                    self._report.lines = line.line
                    self._report.fail(line.line, "invalid_request", line.reason)
                else:
                    self._report.lines = line.number
                    self._take(line)
            self._store()
        except ServiceError as error:
            if not self._report.lines:
                raise
            error.detail += (
                f" What came before line {self._report.lines} of the import may be stored; send "
                "it again: what is there is passed over."
            )
            raise
        self._report.whole = self._completeness.verdict()
        return self._report

    def _take(self, raw: RawLine) -> None:
        if raw.text is None:
            self._report.fail(raw.number, "payload_too_large", f"is longer than {MAX_LINE} bytes")
            return
        if not raw.text.strip():
            self._completeness.add(raw.text)
            return
        try:
            line = parsed(raw.text, self._principal)
        except (InvalidRequest, Forbidden) as error:
            self._report.fail(raw.number, error.code, _reason(error))
            self._completeness.add(raw.text)
            return
        if isinstance(line, EndLine):
            self._completeness.end(line.sha256)
            return
        if isinstance(line, HeaderLine):
            self._completeness.begin()
            self._made_by = line.embedder.info() if line.embedder else None
        self._completeness.add(raw.text)
        self._bring(line, raw)

    def _bring(self, line: Request, raw: RawLine) -> None:
        number, size = raw.number, len(raw.text or b"")
        if isinstance(line, MemoryLine):
            self._hold(arriving.of_memory(number, line, self._made_by, self._here), size)
        elif isinstance(line, DeletedLine):
            self._hold_deleted(line, size)
        elif isinstance(line, ConversationLine):
            self._report.count("conversations")
            if self._inferring:
                self._inferring.find(number, line)
                return
            for one in arriving.of_conversation(number, line):
                self._hold(one, len(one.payload["data"]))

    def _hold(self, one: Arriving, size: int) -> None:
        """Hold the memory until enough are held to be stored together. Each id is held once."""
        if one.id in self._held or one.id in self._deleted or self._is_full(size):
            self._store()
        self._held[one.id] = one
        self._held_bytes += size

    def _hold_deleted(self, line: DeletedLine, size: int) -> None:
        if line.id in self._held or line.id in self._deleted or self._is_full(size):
            self._store()
        self._deleted[line.id] = line
        self._held_bytes += size

    def _is_full(self, size: int) -> bool:
        held = len(self._held) + len(self._deleted)
        return held >= TOGETHER or (held > 0 and self._held_bytes + size > TOGETHER_BYTES)

    def _store(self) -> None:
        held, deleted = [*self._held.values()], [*self._deleted.values()]
        self._held, self._deleted, self._held_bytes = {}, {}, 0
        self._storing.store(held)
        if deleted:
            self._storing.store_deleted(deleted)


def parsed(raw: bytes, principal: Principal) -> Request:
    """A line as the model of its type. Raises InvalidRequest, and Forbidden for another scope than
    the caller's."""
    try:
        given = STRICT.decode(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InvalidRequest("The line is not UTF-8.") from None
    except RecursionError:
        raise InvalidRequest("The line is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"The line is not JSON: character {error.pos}.") from None
    except ValueError:  # such as an integer of too many digits
        raise InvalidRequest("A number is too large.") from None
    if not isinstance(given, dict):
        raise InvalidRequest("The line is not a JSON object.")
    kind = given.get("type", "memory")
    if not isinstance(kind, str) or kind not in MODELS:
        raise InvalidRequest(f"The type of the line must be one of {', '.join(MODELS)}.")
    return validated(MODELS[kind], given, principal)


def _reason(error: ServiceError) -> str:
    wrong = [f"{one.field}: {one.message}" for one in getattr(error, "errors", ())]
    return "; ".join(wrong[:MAX_WRONG]) or error.detail
