"""Texts as BM25 sparse vectors: the words of any language, stemmed, and numbers.

The engine multiplies in the inverse document frequencies (Modifier.Idf) when it searches.
"""

import re
import unicodedata
from collections import Counter

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

K = 1.2  # how soon repeating a word stops to count
B = 0.75  # how much a long text is held against it

LONGEST = 1000
"""Characters of a word that is stemmed as one: a longer run of characters, which is no word but
data in some encoding, is cut into such. The stemmer takes time with the square of a word's
length: 90 ms for one of 99,000 "y", and 4 ms when it is cut. Words up to here keep the ids under
which they were stored before there was a limit."""

# Without white space, where the tokenizer ends a word, and Chinese and Japanese, which it knows
# how to divide. Not all white space: a no-break space is part of a word to it.
_RUN = r"[^ \t\n\r\u3041-\u30fe\u3400-\u4db5\u4e00-\u9fa5]"
_TOO_LONG = re.compile(f"{_RUN}{{{LONGEST}}}(?={_RUN})")

# Runs of digits that stand alone. The multilingual tokenizer, which alone can split Chinese,
# drops exactly these: "invoice INV-20417" would be the words "invoice" and "inv".
_NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?![A-Za-z\d])")


class Bm25Encoder:
    """Makes sparse vectors that equal those of `Qdrant/bm25`, Robertson and Zaragoza 2009."""

    def __init__(self) -> None:
        self._words = Bm25(Bm25Config(k=K, b=B, tokenizer=TokenizerType.Multilingual))
        self._numbers = Bm25(Bm25Config(k=K, b=B, tokenizer=TokenizerType.Word))

    def query(self, text: str) -> SparseVector:
        """Each distinct word with weight 1; empty for a text of stop words alone."""
        words = self._words.embed_query(_cut(text))
        numbers = {self._id(number): 1.0 for number in _numbers(text)}
        return _joined(words, numbers)

    def document(self, text: str) -> SparseVector:
        """Each distinct word with its saturated frequency, held against the text's length."""
        words = self._words.embed_document(_cut(text))
        # A word that occurs once weighs (K + 1) / (1 + length norm): the least of the weights.
        least = min(words.values, default=(K + 1) / (1 + K * (1 - B)))
        norm = (K + 1) / least - 1
        numbers = {
            self._id(number): count * (K + 1) / (count + norm)
            for number, count in Counter(_numbers(text)).items()
        }
        return _joined(words, numbers)

    def _id(self, number: str) -> int:
        return self._numbers.embed_query(number).indices[0]


def _cut(text: str) -> str:
    """`text` with words of at most LONGEST characters."""
    return _TOO_LONG.sub(r"\g<0> ", text) if len(text) > LONGEST else text


def _numbers(text: str) -> list[str]:
    """The numbers of a text, full-width digits as plain ones."""
    return [unicodedata.normalize("NFKC", number) for number in _NUMBER.findall(text)]


def _joined(words: SparseVector, numbers: dict[int, float]) -> SparseVector:
    if not numbers:
        return words
    weights = dict(zip(words.indices, words.values, strict=True)) | numbers
    return SparseVector(indices=[*weights], values=[*weights.values()])
