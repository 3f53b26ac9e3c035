"""Changes and deletes memories."""

from contextlib import AbstractContextManager
from typing import Any

from app.embeddings import Vector
from app.memory.answers import Deleted
from app.memory.choosing import Choosing
from app.memory.embedding import CollectionEmbedder
from app.memory.reading import Reading
from app.memory.requests import DeleteAllRequest, DeleteRequest, UpdateRequest
from app.security.principal import Principal
from app.storage.journal.writer import Writer
from app.storage.journal.writes import Deletion, Write
from app.storage.payloads import Payload, changed_payload, history_row, to_memory


class Changing:
    """Updates and deletions, of one memory or of a scope."""

    def __init__(
        self, writer: Writer, embedder: CollectionEmbedder, reading: Reading, choosing: Choosing
    ) -> None:
        self._writer = writer
        self._embedder = embedder
        self._reading = reading
        self._choosing = choosing

    def update(self, principal: Principal, asked: UpdateRequest) -> dict[str, Any]:
        principal.must_write()
        memory_id, text = asked.memory_id, asked.data
        vector: Vector | None = None
        while True:
            if text is not None and text != self._find(principal, memory_id).get("data"):
                vector = vector or self._embedder.embed([text], "update")[0]
            with self._alone_with(principal, memory_id) as old:
                if vector is None and text not in (None, old.get("data")):
                    continue  # the text was changed meanwhile, so that ours must be embedded
                new = changed_payload(old, text, asked.changes())
                rows = [history_row("UPDATE", memory_id, old, new, principal.key_id)]
                embedder = self._embedder.info if vector else None
                self._writer.write(Write(rows, {memory_id: (vector, new)}, embedder=embedder))
                return to_memory(memory_id, new)

    def delete(self, principal: Principal, asked: DeleteRequest) -> None:
        principal.must_write()
        with self._alone_with(principal, asked.memory_id) as old:
            row = history_row("DELETE", asked.memory_id, old, None, principal.key_id)
            self._writer.write(Write([row], deleted=[asked.memory_id]))

    def delete_all(self, principal: Principal, asked: DeleteAllRequest) -> Deleted:
        principal.must_write()
        scope = principal.narrowed(asked.scope())
        deletion = Deletion(scope, asked.purge, chosen=not asked.is_all)
        if deletion.is_reset:
            raise ValueError("a scope is needed: an empty one is everybody's")
        taken = self._writer.delete(
            deletion, lambda: self._choosing.records(asked, scope), principal.key_id
        )
        if not asked.purge:
            return Deleted(taken.memories)
        counted = {"memories": taken.memories, "intents": taken.intents}
        return Deleted(taken.memories, counted | taken.erased._asdict(), self._writer.leftovers())

    def reset(self, principal: Principal) -> int:
        principal.must_be_admin()
        principal.must_write()
        return self._writer.reset()

    def _find(self, principal: Principal, memory_id: str) -> Payload:
        return self._reading.find(principal, memory_id).payload

    def _alone_with(self, principal: Principal, memory_id: str) -> AbstractContextManager[Payload]:
        return self._writer.alone_with(memory_id, lambda: self._find(principal, memory_id))
