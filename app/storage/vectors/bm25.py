"""Texts as BM25 sparse vectors: the words of any language, stemmed, numbers, and pairs of
Chinese, Japanese and Korean characters.

The engine multiplies in the inverse document frequencies (Modifier.Idf) when it searches.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

from app.storage.vectors.scripts import asked, split, unified, written

VERSION = 2
"""Of the ids and weights that texts get, kept with each collection. Whoever changes them raises it:
the words of stored memories are then made again."""
OLDEST = 1  # of collections with which none is kept

K = 1.2  # how soon repeating a word stops to count
B = 0.75  # how much a long text is held against it
AVERAGE = 256  # words of a text, as Qdrant/bm25 takes it

LONGEST = 1000
"""Characters of a word that is stemmed as one: a longer run of characters, which is no word but
data in some encoding, is cut into such. The stemmer takes time with the square of a word's
length: 90 ms for one of 99,000 "y", and 4 ms when it is cut. Words up to here keep the ids under
which they were stored before there was a limit."""

# Without white space, where the tokenizer ends a word. Not all of it: a no-break space is part of a
# word to it.
_RUN = r"[^ \t\n\r]"
_TOO_LONG = re.compile(f"{_RUN}{{{LONGEST}}}(?={_RUN})")

# Runs of digits that stand alone. The multilingual tokenizer, which alone can split Thai,
# drops exactly these: "invoice INV-20417" would be the words "invoice" and "inv".
_NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?![A-Za-z\d])")


_SCRIPTS = {
    "russian": re.compile("[\u0400-\u052f]+"),
    "arabic": re.compile("[\u0620-\u065f\u066e-\u06d3]+"),
    "greek": re.compile("[\u0370-\u03ff\u1f00-\u1fff]+"),
}
"""What is stemmed as the most common language of its script. In Latin letters that is English:
which language a text of few words is in, nobody can say."""


class Bm25Encoder:
    """Makes sparse vectors, those of English texts equal to what `Qdrant/bm25` makes.

    Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019.
    """

    def __init__(self) -> None:
        self._words = _encoder("english")
        self._of_scripts = [(script, _encoder(name)) for name, script in _SCRIPTS.items()]
        self._others = Bm25(Bm25Config(k=K, b=B, tokenizer=TokenizerType.Word))

    def query(self, text: str) -> SparseVector:
        """Each distinct word with weight 1; empty for a text of stop words alone."""
        rest, runs = split(unified(text))
        words = self._stemmed(rest, Bm25.embed_query)
        return self._joined(words, dict.fromkeys([*_numbers(rest), *asked(runs)], 1.0))

    def document(self, text: str) -> SparseVector:
        """Each distinct word with its saturated frequency, held against the text's length."""
        rest, runs = split(unified(text))
        words = self._stemmed(rest, Bm25.embed_document)
        # A word that occurs once weighs (K + 1) / (1 + length norm): the least of the weights.
        least = min(words.values(), default=(K + 1) / (1 + K * (1 - B)))
        numbers = _weights(Counter(_numbers(rest)), (K + 1) / least - 1)
        pairs = written(runs)
        length = pairs.total() + len(words)
        norm = K * (1 - B + B * length / AVERAGE)
        return self._joined(words, numbers | _weights(pairs, norm))

    def _stemmed(self, text: str, embed: Callable[[Bm25, str], SparseVector]) -> dict[int, float]:
        """The words of each script, by the stemmer for it; their weights by their ids."""
        weights: dict[int, float] = {}
        if not text.isascii():
            for script, encoder in self._of_scripts:
                if found := script.findall(text):
                    vector = embed(encoder, _cut(" ".join(found)))
                    weights |= zip(vector.indices, vector.values, strict=True)
                    text = script.sub(" ", text)
        vector = embed(self._words, _cut(text))
        return weights | dict(zip(vector.indices, vector.values, strict=True))

    def _joined(self, words: dict[int, float], others: dict[str, float]) -> SparseVector:
        weights = {**words}
        for word, weight in others.items():
            for id_ in self._others.embed_query(word).indices:
                weights[id_] = weight
        return SparseVector(indices=[*weights], values=[*weights.values()])


def _encoder(language: str) -> Bm25:
    tokenizer = TokenizerType.Multilingual
    return Bm25(Bm25Config(k=K, b=B, tokenizer=tokenizer, language=language))


def _weights(counted: Counter[str], norm: float) -> dict[str, float]:
    return {word: count * (K + 1) / (count + norm) for word, count in counted.items()}


def _cut(text: str) -> str:
    """`text` with words of at most LONGEST characters."""
    return _TOO_LONG.sub(r"\g<0> ", text) if len(text) > LONGEST else text


def _numbers(text: str) -> list[str]:
    """The numbers of a text, full-width digits as plain ones."""
    return [unicodedata.normalize("NFKC", number) for number in _NUMBER.findall(text)]
