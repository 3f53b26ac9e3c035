"""Words that an earlier version cut are made again while the service serves.

From the stored texts, without an embedder. Until it is done some memories are found by meaning
alone. It begins again after a restart: what is done already is only read.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress

from app.errors import MemoryNotFound
from app.memory.background import Background
from app.storage.journal.writer import Writer
from app.storage.payloads import Payload
from app.storage.vectors.store import VectorStore

log = logging.getLogger(__name__)

BY_HAND = (
    "The stored words are of another version, and some memories are not found by them: stop the "
    "service and run 'python -m app.reembed', which makes them again and embeds nothing."
)


class WordsAgain:
    """Looks through all memories once, and makes the words that are not as they are cut now."""

    def __init__(self, store: VectorStore, writer: Writer, *, auto: bool = True) -> None:
        """Unless `auto` it is left to `python -m app.reembed`."""
        self._store = store
        self._writer = writer
        self._auto = auto
        self._pages: Iterator[tuple[int, Mapping[str, str]]] | None = None
        self._seen = 0
        self._work = Background("words again", self._make_some, self._progress)

    def begin(self) -> None:
        """In the background, where it is needed."""
        if not self._store.has_old_words():
            return
        if not self._auto:
            log.warning("%s", BY_HAND)
            return
        log.info("the stored words are of another version, and are made again in the background")
        self._work.begin()

    def note(self) -> str | None:
        """For /ready: how far it is, or what an operator has to do."""
        if not self._store.has_old_words():
            return None
        return f"Words are made again: {self._progress()}." if self._auto else BY_HAND

    def close(self) -> None:
        self._work.close()

    def _progress(self) -> str:
        return f"{self._seen} of {self._store.count({})} memories were looked through"

    def _make_some(self) -> bool:
        """The next memories; whether there were any."""
        if self._pages is None:
            self._pages, self._seen = self._store.old_words(), 0
        pages, self._pages = self._pages, None  # after a failure from the beginning
        page = next(pages, None)
        if page is None:
            self._store.keep_words()
            log.info("every memory has its words")
            return False
        number, texts = page
        for id_, text in texts.items():
            self._make(id_, text)
        self._seen += number
        self._pages = pages
        return True

    def _make(self, memory_id: str, text: str) -> None:
        """Unless it was changed or deleted meanwhile; a text that was changed has its words."""

        def find() -> Payload:
            found = self._store.get(memory_id)
            if found is None or (found.payload.get("data") or "") != text:
                raise MemoryNotFound
            return found.payload

        with suppress(MemoryNotFound), self._writer.alone_with(memory_id, find):
            self._store.put_words({memory_id: text})
