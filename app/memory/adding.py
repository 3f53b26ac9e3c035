"""Adds memories: the facts that an LLM finds in messages, or each message as given."""

import json

from app.errors import LLMNotConfigured
from app.memory.answers import Added
from app.memory.embedding import CollectionEmbedder
from app.memory.extraction import Extraction
from app.memory.given import Given, Points, added, idempotency_key
from app.memory.idempotency import IdempotencyKey, run_once
from app.memory.limits import ConcurrencyLimiter
from app.memory.places import Places
from app.memory.requests import AddRequest
from app.security.principal import Principal
from app.security.scopes import Scope
from app.storage.history.messages import Said
from app.storage.journal.writer import Writer
from app.storage.vectors.filters import in_scope


class Adding:
    """Stores new memories."""

    def __init__(
        self,
        writer: Writer,
        embedder: CollectionEmbedder,
        extraction: Extraction | None,
        places: Places,
        llm_concurrency: int,
    ) -> None:
        """`extraction` is None where there is no LLM; `llm_concurrency` adds may wait for it."""
        self._writer = writer
        self._embedder = embedder
        self._extraction = extraction
        self._limiter = ConcurrencyLimiter(llm_concurrency)
        self._places = places

    @property
    def extracts(self) -> bool:
        """Whether there is an LLM."""
        return self._extraction is not None

    def infers(self, asked: AddRequest) -> bool:
        """Whether the LLM is asked for this add. Raises LLMNotConfigured."""
        if asked.infer and not self.extracts:
            raise LLMNotConfigured
        return self.extracts and asked.infer is not False

    def add(self, principal: Principal, asked: AddRequest, key: str | None = None) -> Added:
        principal.must_write()
        return self.run(principal, asked, idempotency_key(principal, asked, key))

    def run(
        self,
        principal: Principal,
        asked: AddRequest,
        key: IdempotencyKey | None,
        said_at: str | None = None,
    ) -> Added:
        """Like `add`, for a caller that may write and a key that is known. `said_at` is the time of
        messages without a timestamp; None means now."""
        extraction = self._extraction if self.infers(asked) else None
        given = Given.of(principal, asked, key, said_at)

        def work() -> Added:
            if extraction is None:
                return self._store_as_given(given)
            with self._limiter.acquire():
                return self._infer(given, extraction)

        if given.key is None:
            return work()
        answer = run_once(self._writer, given.key, given.scope, lambda: work().to_json())
        return Added.from_json(answer)

    def _infer(self, given: Given, extraction: Extraction) -> Added:
        """Store what the LLM finds."""
        draft = extraction.run(
            given.messages,
            given.scope,
            metadata=dict(given.metadata),
            expiration_date=given.expiration_date,
            said_at=given.said_at,
        )
        with self._writer.locks.alone(f"inferring {json.dumps(given.scope, sort_keys=True)}"):
            points = self._unknown(draft.points, given.scope)
            return self._store(points, given, draft.failed, draft.messages)

    def _store_as_given(self, given: Given) -> Added:
        """Store one memory for each message."""
        vectors = self._embedder.embed(given.texts(), "add")
        return self._store(given.points(vectors), given)

    def _store(self, points: Points, given: Given, failed: int = 0, said: Said = ()) -> Added:
        points = given.in_time(points)
        answer = added(points, failed)
        if not points:
            kept = answer.to_json() if given.repeat else None
            self._writer.nothing_new(said, given.repeat, kept)
            return answer
        self._places.give(given.scope, [payload for _, payload in points.values()])
        write = given.write(points, self._embedder.info, answer, said)
        self._writer.add(given.scope, write)
        return answer

    def _unknown(self, points: Points, scope: Scope) -> Points:
        """The points whose text is not in the scope yet: another request may have stored it while
        the LLM was asked."""
        hashes = [payload["hash"] for _, payload in points.values()]
        if not hashes:
            return points
        same = {"should": [{"key": "hash", "match": {"value": hash_}} for hash_ in hashes]}
        there = self._writer.store.scan(in_scope(scope, extra=same))
        known = {record.payload["hash"] for record in there}
        return {id_: point for id_, point in points.items() if point[1]["hash"] not in known}
