"""Embeds all memories again in the background, after the embedder was changed.

When the embedder changes, all vectors are deleted at once. A thread then embeds each memory that
has no vector, batch by batch, on half a core at most. So it continues after a restart, and adds
work meanwhile. Until it has finished searches go by words alone.
"""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from app.embeddings import Vector
from app.errors import BeingEmbedded, EmbedderMismatch, MemoryNotFound, ServiceError
from app.memory.background import Background
from app.providers.base import Embedder
from app.storage.journal.writer import Writer
from app.storage.payloads import Payload
from app.storage.vectors.ranking import Record
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

BATCH = 16
TEXTS_OWN = ("provider_refused", "provider_content_filtered", "embedder_input_too_long")
"""Codes of failures that may concern one text alone."""


class EmbeddingAgain:
    """Prepares the collection for the embedder, and embeds the memories that have no vector."""

    def __init__(
        self, store: VectorStore, embedder: Embedder, writer: Writer, *, auto: bool = True
    ) -> None:
        """Unless `auto`, a collection of another embedder is left to `python -m app.reembed`."""
        self._store = store
        self._embedder = embedder
        self._writer = writer
        self._auto = auto
        self._changing = threading.Lock()
        self._looked = False
        self._left = 0
        self._refused: set[str] = set()
        self._work = Background("embedding again", self._embed_some, self._progress)

    def prepare(self) -> None:
        """Prepare the collection, see `VectorStore.prepare`. Where its vectors were made by another
        embedder, begin to embed the memories again.

        Raises EmbedderMismatch unless `auto`, and the failures of the store and the embedder."""
        info = self._embedder.info
        try:
            self._store.prepare(info)
        except EmbedderMismatch:
            if not self._auto:
                raise
            with self._changing, self._writer.alone():
                if self._store.embedder() != info:
                    log.warning(
                        "the memories are of %s and will be embedded again by %s, in the "
                        "background; until then they are found by words",
                        self._store.embedder(),
                        info,
                    )
                    self._store.adopt(info)
                self._looked = False
            self._store.prepare(info)
        if not self._looked:
            self._go_on()

    def check(self) -> None:
        """Raises BeingEmbedded, with the progress, while memories without a vector are left."""
        if self._left:
            total = self._store.count({})
            raise BeingEmbedded(
                f"{total - self._left} of {total} memories are embedded by {self._embedder.info}."
            )

    def close(self) -> None:
        self._work.close()

    def _go_on(self) -> None:
        with self._changing:
            if self._looked:
                return
            self._left = self._store.count_unembedded()
            self._looked = True
            if self._left:
                self._work.begin()

    def _progress(self) -> str:
        return f"{self._left} memories are left"

    def _embed_some(self) -> bool:
        """Embed the next memories without a vector. Returns whether there were any."""
        ids = self._store.unembedded(BATCH + len(self._refused))
        wanted = [id_ for id_ in ids if id_ not in self._refused][:BATCH]
        records = self._store.get_many(wanted)
        if records:
            for record, vector in zip(records, self._vectors(records), strict=True):
                if vector is None:
                    self._refused.add(record.id)
                else:
                    self._write(record, vector)
        self._left = max(0, self._store.count_unembedded() - len(self._refused))
        if not records:
            log.info("every memory is embedded by %s", self._embedder.info)
        return bool(records)

    def _vectors(self, records: Sequence[Record]) -> Sequence[Vector | None]:
        """A vector for each record; None where the embedder refuses its text."""
        texts = [str(record.payload.get("data") or " ") for record in records]
        try:
            return self._embedder.embed_batch(texts, "add")
        except ServiceError as error:
            if error.code not in TEXTS_OWN:
                raise
        return [self._alone(text) for text in texts]

    def _alone(self, text: str) -> Vector | None:
        try:
            return self._embedder.embed(text, "add")
        except ServiceError as error:
            if error.code not in TEXTS_OWN:
                raise
            log.warning("a memory is found by words alone: %s", error.code)
            return None

    def _write(self, record: Record, vector: Vector) -> None:
        """Store `vector`, unless the memory was deleted or its text changed meanwhile: a changed
        text already has a vector."""

        def find() -> Payload:
            found = self._store.get(record.id)
            if found is None or found.payload.get("data") != record.payload.get("data"):
                raise MemoryNotFound
            return found.payload

        with suppress(MemoryNotFound), self._writer.alone_with(record.id, find) as payload:
            self._store.put({record.id: (vector, payload)})
