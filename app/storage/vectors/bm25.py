"""Encodes texts as BM25 sparse vectors: stemmed words of any language, numbers, and pairs of
Chinese, Japanese and Korean characters.

The engine multiplies the weights by inverse document frequencies (Modifier.Idf) in a search.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

from app.storage.vectors.scripts import asked, pictures, split, unified, written

VERSION = 2
"""The version of the ids and weights, which is stored with each collection. Raise it whenever you
change them: the words of stored memories are then made again."""
OLDEST = 1  # the version of collections without a stored one

K = 1.2  # how soon repeating a word stops to count
B = 0.75  # how much the length of a text reduces its weights
AVERAGE = 256  # words of an average text, as in Qdrant/bm25

LONGEST = 1000
"""The most characters of a word. A longer run is encoded data, not a word, and is cut. The stemmer
takes time with the square of a word's length: 90 ms for 99,000 "y", and 4 ms when they are cut.
Words below the limit keep the ids that they had before there was one."""

# The white space at which the tokenizer ends a word. A no-break space does not end one.
_RUN = r"[^ \t\n\r]"
_TOO_LONG = re.compile(f"{_RUN}{{{LONGEST}}}(?={_RUN})")

# Runs of digits that stand alone. The multilingual tokenizer, the only one that splits Thai, drops
# them: "invoice INV-20417" would be the words "invoice" and "inv".
_NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?![A-Za-z\d])")


_SCRIPTS = {
    "russian": re.compile("[\u0400-\u052f]+"),
    "arabic": re.compile("[\u0620-\u065f\u066e-\u06d3]+"),
    "greek": re.compile("[\u0370-\u03ff\u1f00-\u1fff]+"),
}
"""Scripts whose words are stemmed as of the script's most common language. For Latin letters that
is English, because the language of a short text cannot be recognised."""


class Bm25Encoder:
    """Makes sparse vectors. Those of English texts are equal to the ones of `Qdrant/bm25`.

    Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019.
    """

    def __init__(self) -> None:
        self._words = _encoder("english")
        self._of_scripts = [(script, _encoder(name)) for name, script in _SCRIPTS.items()]
        self._others = Bm25(Bm25Config(k=K, b=B, tokenizer=TokenizerType.Word))

    def query(self, text: str) -> SparseVector:
        """The distinct words, each with weight 1; empty for a text of stop words only."""
        rest, runs = split(unified(text))
        words = self._stemmed(rest, Bm25.embed_query)
        return self._joined(
            words, dict.fromkeys([*_numbers(rest), *pictures(rest), *asked(runs)], 1.0)
        )

    def document(self, text: str) -> SparseVector:
        """The distinct words, each with its saturated frequency, reduced by the text's length."""
        rest, runs = split(unified(text))
        words = self._stemmed(rest, Bm25.embed_document)
        # The least weight is that of a word that occurs once: (K + 1) / (1 + length norm).
        least = min(words.values(), default=(K + 1) / (1 + K * (1 - B)))
        numbers = _weights(Counter([*_numbers(rest), *pictures(rest)]), (K + 1) / least - 1)
        pairs = written(runs)
        length = pairs.total() + len(words)
        norm = K * (1 - B + B * length / AVERAGE)
        return self._joined(words, numbers | _weights(pairs, norm))

    def _stemmed(self, text: str, embed: Callable[[Bm25, str], SparseVector]) -> dict[int, float]:
        """The weights of the words by their ids; each script has its own stemmer."""
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
    """The numbers in a text; full-width digits become plain ones."""
    return [unicodedata.normalize("NFKC", number) for number in _NUMBER.findall(text)]
