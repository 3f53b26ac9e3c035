"""Whose words a collection has: as the texts are cut now, or as an earlier version cut them."""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any

from qdrant_edge import SparseVector

from app.errors import MemoryNotFound
from app.storage.vectors.base import NoCollection
from app.storage.vectors.bm25 import VERSION, Bm25Encoder
from app.storage.vectors.points import Worded
from app.storage.vectors.prepared import PreparedStore

AT_ONCE = 16  # a text may have 100,000 characters, and Edge holds every thread while it reads


class WordedStore(PreparedStore):
    """A collection whose words can be made again from its texts; the vectors of meaning stay."""

    def __init__(self) -> None:
        super().__init__()
        self._bm25 = Bm25Encoder()

    def has_old_words(self) -> bool:
        """Whether the collection has words, and those of another version of the tokenizer."""
        try:
            return self._read_words() not in (None, VERSION)
        except NoCollection:
            return False

    def old_words(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        """All memories, a few at a time: how many those are, and of those whose words are not
        as the text is cut now, the texts by their ids.

        So whoever makes words again and was cut off may begin again: what is done is only read.
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
        """Make the words of memories again, from their texts by their ids. Raises MemoryNotFound
        where one is gone."""
        if texts:
            try:
                self._update_words({id_: self._bm25.document(text) for id_, text in texts.items()})
            except NoCollection:
                raise MemoryNotFound from None

    def keep_words(self) -> None:
        """Keep with the collection that all its words are of this version."""
        self.flush()  # no power cut may leave the version without the words
        self._record_words(VERSION)

    def _is_old(self, one: Worded) -> bool:
        wanted = _weights(self._bm25.document(one.text))
        stored = _weights(one.words)
        return wanted.keys() != stored.keys() or not all(
            isclose(weight, stored[id_], rel_tol=1e-4) for id_, weight in wanted.items()
        )


def _weights(words: SparseVector | None) -> dict[int, float]:
    return dict(zip(words.indices, words.values, strict=True)) if words else {}
