"""Finds the pieces of a vocabulary in a text.

All short substrings of the text are hashed (Karp and Rabin 1987), and looked up together in the
sorted hashes of the pieces. A dict of 250,000 Python strings would take 50 MB of memory, and half a
second at each start.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

LONGEST = 16  # characters of a piece
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64

Numbers = NDArray[np.uint64]

Piece = tuple[int, int, float]
"""The piece's length in characters, its id, its log probability."""


class Vocabulary:
    """Pieces by their hashes of 64 bits. The chance that two of a few million pieces collide is 1
    in a million; that a substring of a text collides with one is 1 in 10**10."""

    def __init__(
        self, pieces: bytes, starts: NDArray[np.uint32], likely: NDArray[np.float32]
    ) -> None:
        """`pieces` are joined UTF-8; `starts` are the offsets where each begins, and where the last
        one ends. Raises ValueError for pieces that are too long, or whose hashes collide."""
        # Bytes within a character begin with the bits 10.
        begins = np.frombuffer(pieces, np.uint8) & 0xC0 != 0x80
        places = np.concatenate([[0], begins.cumsum()])[starts]  # in characters
        hashes = Hashes(str(pieces, "utf-8")).of(places[:-1], places[1:])
        self._order = hashes.argsort().astype(np.int32)
        self._hashes = hashes[self._order]
        self._likely = likely[self._order]
        if np.diff(places).max() > LONGEST or (self._hashes[1:] == self._hashes[:-1]).any():
            raise ValueError("not the vocabulary that is known")

    def within(self, text: str) -> Mapping[int, Sequence[Piece]]:
        """All pieces in `text`, by the place where they begin."""
        first = np.repeat(np.arange(len(text)), LONGEST)
        behind = first + np.tile(np.arange(1, LONGEST + 1), len(text))
        inside = behind <= len(text)
        first, behind = first[inside], behind[inside]
        hashes = Hashes(text).of(first, behind)
        places = np.searchsorted(self._hashes, hashes).clip(max=len(self._hashes) - 1)
        known = self._hashes[places] == hashes
        first, behind, places = first[known], behind[known], places[known]
        found = defaultdict[int, list[Piece]](list)
        columns = (behind - first, self._order[places], self._likely[places])
        for start, *piece in zip(first.tolist(), *(c.tolist() for c in columns), strict=True):
            found[start].append(tuple(piece))
        return found


class Hashes:
    """Hashes substrings of a text. The hash is the sum of the characters, each times BASE to the
    power of its place, modulo 2**64."""

    def __init__(self, text: str) -> None:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
        self._powers_down = _powers(pow(BASE, -1, 2**64), len(codes) + 1)
        terms = (codes + np.uint64(1)) * _powers(BASE, len(codes))
        self._sums: Numbers = np.concatenate([np.zeros(1, np.uint64), terms.cumsum()])

    def of(self, first: NDArray[np.int64], behind: NDArray[np.int64]) -> Numbers:
        """The hashes of the substrings from `first` to before `behind`."""
        hashes: Numbers = (self._sums[behind] - self._sums[first]) * self._powers_down[first]
        return hashes


def _powers(base: int, count: int) -> Numbers:
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    powers: Numbers = factors.cumprod()
    return powers
