"""Detects words of an earlier version in a collection, and replaces them."""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any

from qdrant_edge import SparseVector

from app.errors import MemoryNotFound
from app.storage.vectors.base import NoCollection
from app.storage.vectors.bm25 import VERSION, Bm25Encoder
from app.storage.vectors.points import Worded
from app.storage.vectors.prepared import PreparedStore

AT_ONCE = 16  # a text may have 100,000 characters, and Edge stops all threads while it reads


class WordedStore(PreparedStore):
    """A store whose words can be made again from its texts, without the dense vectors."""

    def __init__(self) -> None:
        super().__init__()
        self._bm25 = Bm25Encoder()

    def has_old_words(self) -> bool:
        """Whether the collection has words of another version, see `bm25.VERSION`."""
        try:
            return self._read_words() not in (None, VERSION)
        except NoCollection:
            return False

    def old_words(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        """All memories, a few at a time: their number, and the texts (by id) of those whose words
        are outdated.

        A caller that was interrupted may begin again: memories with current words are only read.
        """
        after: Any = None
        while True:
            try:
                page, after = self._worded(after, AT_ONCE)
            except NoCollection:
                return
            yield len(page), {one.id: one.text for one in page if self._is_old(one)}
            if after is None:
                return

    def put_words(self, texts: Mapping[str, str]) -> None:
        """Make the words of memories again; `texts` are by id. Raises MemoryNotFound where a memory
        was deleted."""
        if texts:
            try:
                self._update_words({id_: self._bm25.document(text) for id_, text in texts.items()})
            except NoCollection:
                raise MemoryNotFound from None

    def keep_words(self) -> None:
        """Store with the collection that all its words are of this version."""
        self.flush()  # first, so that a power cut cannot leave the version without the words
        self._record_words(VERSION)

    def _is_old(self, one: Worded) -> bool:
        wanted = _weights(self._bm25.document(one.text))
        stored = _weights(one.words)
        return wanted.keys() != stored.keys() or not all(
            isclose(weight, stored[id_], rel_tol=1e-4) for id_, weight in wanted.items()
        )


def _weights(words: SparseVector | None) -> dict[int, float]:
    return dict(zip(words.indices, words.values, strict=True)) if words else {}
