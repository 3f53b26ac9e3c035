"""Stores the adds of a batch that need no LLM, in few calls to the embedder and the stores."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from app.embeddings import Vector
from app.errors import InvalidRequest, RequestInProgress, ServiceBusy, ServiceError
from app.memory.answers import Added
from app.memory.batch.embedding import BatchEmbedder
from app.memory.batch.parts import Bound, Part, divided
from app.memory.embedding import CollectionEmbedder
from app.memory.given import added
from app.memory.idempotency import (
    POLL_S,
    WAIT_S,
    answer_of,
    claim_all,
    release,
    released_on_failure,
)
from app.memory.places import Places
from app.storage.journal.writer import Writer
from app.storage.journal.writes import Write
from app.storage.payloads import PLACE

WRITTEN = Bound(128, 1_000_000)
"""The bound of one write. It is small so that other requests can write in between: the embedded
engine stops all threads for 8 ms in each."""
EMBEDDED = Bound(128, 16_000)
"""The bound of one call to the embedder, which takes the local one 1.3 s."""


class Ready(NamedTuple):
    """A part that was embedded, with its answer and its write."""

    part: Part
    answer: Added
    write: Write


class StoringTogether:
    """Stores many adds together. Safe for many threads."""

    def __init__(self, writer: Writer, embedder: CollectionEmbedder, places: Places) -> None:
        self._writer = writer
        self._embedder = embedder
        self._places = places

    def store(self, parts: Sequence[Part]) -> None:
        """Store `parts` and set their outcomes. Where an earlier request with the same key is still
        being done, it is waited for, up to 5 s in all. After that the outcome is
        RequestInProgress."""
        adds = [(part.given.scope, part.given.said_at, len(part.given.texts())) for part in parts]
        for part, place in zip(parts, self._places.of_batch(adds), strict=True):
            part.place = place
        left = self._stored(parts)
        deadline = time.monotonic() + WAIT_S
        while left and time.monotonic() < deadline:
            self._settle(left)
            left = self._stored([part for part in left if part.outcome is None])
            if left:
                time.sleep(POLL_S)
        for part in left:
            part.outcome = RequestInProgress()

    def _settle(self, parts: Sequence[Part]) -> None:
        """Recover the unfinished writes of earlier requests with the keys of `parts`. A failure
        becomes the outcome of all of them."""
        journal = self._writer.journal
        try:
            for key in [part.given.key for part in parts if part.given.key]:
                journal.clear_key(self._writer.store, (key.caller, key.key))
        except ServiceError as failure:
            for part in parts:
                part.outcome = failure

    def _stored(self, parts: Sequence[Part]) -> list[Part]:
        """Store `parts`. Returns those that still have no outcome."""
        embed = BatchEmbedder(self._embedder.embed)
        for some in divided(parts, WRITTEN):
            try:
                self._store(some, embed)
            except ServiceError as failure:
                for part in some:
                    part.outcome = part.outcome or failure
                if not isinstance(failure, ServiceBusy):  # which concerns one scope only
                    embed.failure = failure
        return [part for part in parts if part.outcome is None]

    def _store(self, parts: Sequence[Part], embed: BatchEmbedder) -> None:
        """Store `parts` in one write. Raises a failure of all that have no outcome yet."""
        if embed.failure:
            raise embed.failure
        mine = self._claimed(parts)
        keys = [part.given.key for part in mine if part.given.key]
        with released_on_failure(self._writer, keys):
            ready = [
                self._ready(part, vectors)
                for some in divided(mine, EMBEDDED)
                for part, vectors in embed(some)
            ]
            failed = [part.given.key for part in mine if part.outcome and part.given.key]
            release(self._writer, failed)
            self._write(ready, embed)

    def _claimed(self, parts: Sequence[Part]) -> list[Part]:
        """The parts that this request has to store. Each other one gets the outcome of its earlier
        request, or none where that is still being done."""
        keyed = [(part, part.given.key) for part in parts if part.given.key]
        if not keyed:
            return [*parts]
        found = claim_all(self._writer, [(key, part.given.scope) for part, key in keyed])
        mine = [part for part in parts if part.given.key is None]
        for (part, key), claim in zip(keyed, found, strict=True):
            if claim is None:
                mine.append(part)
                continue
            try:
                earlier = answer_of(claim, key)
            except ServiceError as failure:
                part.outcome = failure
            else:
                part.outcome = Added.from_json(earlier) if earlier else None
        return mine

    def _ready(self, part: Part, vectors: Sequence[Vector]) -> Ready:
        points = part.given.in_time(part.given.points(vectors))
        if part.place is not None:
            for place, (_, payload) in enumerate(points.values(), part.place):
                payload[PLACE] = place
        answer = added(points)
        return Ready(part, answer, part.given.write(points, self._embedder.info, answer))

    def _write(self, ready: Sequence[Ready], embed: BatchEmbedder) -> None:
        if not ready:
            return
        try:
            self._writer.add_all([(one.part.given.scope, one.write) for one in ready])
        except InvalidRequest:  # the write is too large for the store
            if len(ready) == 1:
                raise
            half = (len(ready) + 1) // 2
            for some in (ready[:half], ready[half:]):
                self._store([one.part for one in some], embed)
        else:
            for one in ready:
                one.part.outcome = one.answer
