"""Adding: what an LLM finds in messages, or each of them as it is given."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.embeddings import Vector
from app.errors import LLMNotConfigured
from app.memory.answers import Added
from app.memory.embedding import CollectionEmbedder
from app.memory.extraction import Extraction
from app.memory.idempotency import IdempotencyKey, run_once
from app.memory.limits import ConcurrencyLimiter
from app.memory.places import Places
from app.memory.requests import AddRequest
from app.security.principal import Principal
from app.security.scopes import Scope
from app.storage.history.messages import Said
from app.storage.journal.writer import Writer
from app.storage.journal.writes import Write
from app.storage.locks import KeyedLock
from app.storage.payloads import Payload, history_row, new_id, new_payload, said_at
from app.storage.vectors.filters import in_scope

Points = Mapping[str, tuple[Vector, Payload]]


def _idempotency_key(principal: Principal, asked: AddRequest, key: str) -> IdempotencyKey:
    return IdempotencyKey(principal.id, key, asked.fingerprint(), asked.fingerprint_by_0_1())


def _all_said_at(points: Points, time: str) -> Points:
    return {
        id_: (vector, said_at(payload, time, place))
        for place, (id_, (vector, payload)) in enumerate(points.items())
    }


@dataclass(frozen=True)
class _New:
    """What an add was given."""

    written_by: str | None
    messages: Sequence[Mapping[str, str]]
    scope: Scope
    metadata: Mapping[str, Any]
    expiration_date: str | None
    said_at: str | None
    """None for now."""
    key: IdempotencyKey | None


class Adding:
    """Stores new memories."""

    def __init__(
        self,
        writer: Writer,
        embedder: CollectionEmbedder,
        extraction: Extraction | None,
        limiter: ConcurrencyLimiter,
    ) -> None:
        """`extraction` is None where there is no LLM; `limiter` is for what waits for it."""
        self._writer = writer
        self._embedder = embedder
        self._extraction = extraction
        self._limiter = limiter
        self._inferring = KeyedLock()  # by scope
        self._places = Places()

    @property
    def extracts(self) -> bool:
        return self._extraction is not None

    def add(self, principal: Principal, asked: AddRequest, key: str | None = None) -> Added:
        principal.must_write()
        extraction = self._extraction if asked.infer in (None, True) else None
        if asked.infer and extraction is None:
            raise LLMNotConfigured
        new = _New(
            principal.key_id,
            asked.said(),
            principal.narrowed(asked.scope()),
            asked.metadata or {},
            asked.expiration_date,
            asked.timestamp,
            _idempotency_key(principal, asked, key) if key else None,
        )

        def work() -> Added:
            if extraction is None:
                return self._store_as_given(new)
            with self._limiter.acquire():
                return self._infer(new, extraction)

        if new.key is None:
            return work()
        answer = run_once(self._writer, new.key, new.scope, lambda: work().to_json())
        return Added.from_json(answer)

    def _infer(self, new: _New, extraction: Extraction) -> Added:
        """What the LLM finds."""
        draft = extraction.run(
            new.messages,
            new.scope,
            metadata=dict(new.metadata),
            expiration_date=new.expiration_date,
            said_at=new.said_at,
        )
        with self._inferring.holding([json.dumps(new.scope, sort_keys=True)]):
            points = self._unknown(draft.points, new.scope)
            return self._store(points, new, draft.failed, draft.messages)

    def _store_as_given(self, new: _New) -> Added:
        """One memory for each message, except what the system said, as mem0 has it."""
        said = [message for message in new.messages if message["role"] != "system"]
        vectors = self._embedder.embed([message["content"] for message in said], "add")
        payloads = [
            new_payload(
                message["content"],
                new.scope,
                new.metadata,
                role=message["role"],
                actor_id=message.get("name"),
                expiration_date=new.expiration_date,
            )
            for message in said
        ]
        points = {new_id(): point for point in zip(vectors, payloads, strict=True)}
        return self._store(points, new)

    def _store(self, points: Points, new: _New, failed: int = 0, said: Said = ()) -> Added:
        if new.said_at:
            points = _all_said_at(points, new.said_at)
        stored = [
            {"id": id_, "memory": payload["data"], "event": "ADD"}
            for id_, (_, payload) in points.items()
        ]
        added = Added(stored, failed)
        asked = (new.key.caller, new.key.key) if new.key else None
        answer = added.to_json() if asked else None
        if not points:
            self._writer.nothing_new(said, asked, answer)
            return added
        self._places.give(new.scope, [payload for _, payload in points.values()])
        write = Write(
            [
                history_row("ADD", id_, None, payload, new.written_by)
                for id_, (_, payload) in points.items()
            ],
            points=dict(points),
            embedder=self._embedder.info,
            repeat=asked,
            answer=answer,
            said=said,
        )
        self._writer.add(new.scope, write)
        return added

    def _unknown(self, points: Points, scope: Scope) -> Points:
        """Those whose text the scope does not hold yet: another request may have been faster."""
        hashes = [payload["hash"] for _, payload in points.values()]
        if not hashes:
            return points
        same = {"should": [{"key": "hash", "match": {"value": hash_}} for hash_ in hashes]}
        there = self._writer.store.scan(in_scope(scope, extra=same))
        known = {record.payload["hash"] for record in there}
        return {id_: point for id_, point in points.items() if point[1]["hash"] not in known}
