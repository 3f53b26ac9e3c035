"""Makes the words of memories again in the background, after a version that cut texts into words
differently.

It needs the stored texts but no embedder. Until it has finished some memories are found by meaning
alone. After a restart it begins anew, but memories with current words are only read.
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
    """Reads all memories once, and makes the outdated words again."""

    def __init__(self, store: VectorStore, writer: Writer, *, auto: bool = True) -> None:
        """Unless `auto`, an operator has to run `python -m app.reembed`."""
        self._store = store
        self._writer = writer
        self._auto = auto
        self._pages: Iterator[tuple[int, Mapping[str, str]]] | None = None
        self._seen = 0
        self._work = Background("words again", self._make_some, self._progress)

    def begin(self) -> None:
        """Start in the background, if there are outdated words."""
        if not self._store.has_old_words():
            return
        if not self._auto:
            log.warning("%s", BY_HAND)
            return
        log.info("the stored words are of another version, and are made again in the background")
        self._work.begin()

    def note(self) -> str | None:
        """A note for /ready: the progress, or what an operator has to do; None where no words are
        outdated."""
        if not self._store.has_old_words():
            return None
        return f"Words are made again: {self._progress()}." if self._auto else BY_HAND

    def close(self) -> None:
        self._work.close()

    def _progress(self) -> str:
        return f"{self._seen} of {self._store.count({})} memories were looked through"

    def _make_some(self) -> bool:
        """Look at the next page of memories. Returns whether there was one."""
        if self._pages is None:
            self._pages, self._seen = self._store.old_words(), 0
        pages, self._pages = self._pages, None  # after a failure it begins anew
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
        """Store the words of `text`, unless the memory was deleted or its text changed meanwhile:
        a changed text already has current words."""

        def find() -> Payload:
            found = self._store.get(memory_id)
            if found is None or (found.payload.get("data") or "") != text:
                raise MemoryNotFound
            return found.payload

        with suppress(MemoryNotFound), self._writer.alone_with(memory_id, find):
            self._store.put_words({memory_id: text})
